//! The state machine: registrations, messages, outcomes and the time come in, effects go out. Pure.
//!
//! [`Exchange`] is the whole of it. It stands on [`Roster`] (who is there), [`Routes`] (who gets what),
//! [`Conversations`] (who asked) and one [`Queue`] per instance (what waits).

mod absent;
mod conversations;
mod declared;
mod exchange;
mod guard;
mod guarding;
mod key;
mod moves;
mod orphans;
mod outcome;
mod parcel;
mod publishing;
mod queue;
mod roster;
mod routing;
#[cfg(test)]
mod tests;
mod translating;
mod views;
mod waiting;

pub(crate) use conversations::Conversations;
pub(crate) use declared::Declared;
pub(crate) use exchange::{Exchange, Place};
pub(crate) use guard::Guard;
pub(crate) use key::Key;
pub(crate) use orphans::Orphans;
pub(crate) use outcome::{Attempt, Batch, Effect, Note, Outcome, Reason, Routed, Taken, Work};
pub(crate) use parcel::{Parcel, bytes_of};
pub(crate) use queue::Queue;
pub(crate) use roster::{Instance, Language, Roster};
pub(crate) use routing::Routes;
pub(crate) use translating::Rules;
