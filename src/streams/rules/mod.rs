//! What may happen to streams, without clock, socket or store.
//!
//! The [`Ledger`] knows the state of every stream as it will be once all that was decided is written. A command either is
//! refused, and then nothing has changed, or gives an answer and the changes that have to be written before anybody may
//! see the answer. Every store is fed from the same decisions, so no two of them can disagree about a 409.

mod appending;
mod change;
mod content;
mod creating;
mod ending;
mod event;
mod forking;
mod ledger;
mod producing;
mod refusal;
mod registry;
mod stream;
#[cfg(test)]
mod tests;

pub use appending::{Appended, Effect};
pub(crate) use change::{Change, KeySpace};
pub(crate) use content::{Content, Record};
pub use creating::Created;
pub use event::{Happened, LifecycleEvent};
pub(crate) use forking::Following;
pub(crate) use ledger::{Ledger, Limits};
pub use refusal::Refusal;
