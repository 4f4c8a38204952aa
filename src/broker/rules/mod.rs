//! The state machine: registrations, messages, outcomes and the time come in, effects go out. Pure.
//!
//! [`Exchange`] is the whole of it. It stands on [`Roster`] (who is there), [`Routes`] (who gets what),
//! [`Conversations`] (who asked) and one [`Queue`] per instance (what waits). What comes by leaves a [`Trace`].

mod absent;
mod activity;
mod conversations;
mod declared;
mod departed;
mod exchange;
mod guard;
mod guarding;
mod key;
mod moves;
mod orphans;
mod outcome;
mod parcel;
mod passage;
mod publishing;
mod queue;
mod roster;
mod routing;
#[cfg(test)]
mod tests;
mod trace;
mod translating;
mod views;
mod waiting;

pub(crate) use activity::{GivenUp, activity};
pub(crate) use conversations::Conversations;
pub(crate) use declared::Declared;
pub(crate) use departed::Departed;
pub(crate) use exchange::{Exchange, Place};
pub(crate) use guard::Guard;
pub(crate) use key::Key;
pub(crate) use orphans::Orphans;
pub(crate) use outcome::{Attempt, Batch, Effect, Note, Outcome, Reason, Routed, Taken, Work};
pub(crate) use parcel::{Parcel, bytes_of};
#[cfg(test)]
pub(crate) use passage::Passage;
pub(crate) use passage::{Filter, Seen};
pub(crate) use queue::Queue;
pub(crate) use roster::{Instance, Language, Roster};
pub(crate) use routing::Routes;
pub(crate) use trace::Trace;
pub(crate) use translating::Rules;
