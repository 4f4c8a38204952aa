//! State machine of subscriptions: which streams each one follows, when it is woken, and who holds its lease.
//!
//! A [`SubscriptionSet`] is the state after everything decided so far has been committed. It learns which data readers
//! can see from [`StreamUpdate`]s, and its changes are committed together with the changes of streams, so an event in a
//! wake stream and the generation it names are written atomically.

mod changes;
mod key_ring;
mod leases;
mod links;
mod pattern_tree;
mod refusal;
mod restore;
mod schedule;
mod set;
mod subscription;
#[cfg(test)]
mod tests;
mod wakes;

pub(crate) use changes::{KEY_PREFIX, TOKEN_SECRET_KEY};
pub(crate) use leases::AckEndpoint;
pub(crate) use links::StreamUpdate;
pub(crate) use refusal::Refusal;
pub(crate) use set::{NewSubscription, SubscriptionLimits, SubscriptionSet};
pub(crate) use wakes::{Attempt, Outcome};
