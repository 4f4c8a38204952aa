//! Who is woken when, without clock, socket or store.
//!
//! The [`Board`] knows every subscription as it will be once all that was decided is written. It learns what was shown
//! to readers, and decides on wakes in the same commits in which streams are decided, so an event in a wake stream and
//! the generation that it tells are written together.

mod answering;
mod board;
mod changes;
mod linking;
mod patterns;
mod refusal;
mod restore;
mod subscription;
#[cfg(test)]
mod tests;
mod waking;

pub(crate) use answering::Way;
pub(crate) use board::{Board, Bounds, Wish};
pub(crate) use changes::{KEY_PREFIX, TOKENS};
pub(crate) use linking::Seen;
pub(crate) use refusal::Refusal;
pub(crate) use waking::{Attempt, Outcome};
