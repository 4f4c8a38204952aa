//! State machine of subscriptions: which streams each one follows, when it is woken, and who holds its lease.
//!
//! A [`SubscriptionSet`] is the state after everything decided so far. It observes the changes that each decision makes to
//! streams, and its own changes are committed together with them, so an append and the link that remembers what it added, or
//! an event in a wake stream and the generation it names, are written atomically. Nothing is announced before its commit.

mod budget;
mod changes;
mod key_ring;
mod leases;
mod links;
mod observing;
mod pages;
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
pub(crate) use observing::Observed;
pub(crate) use refusal::Refusal;
pub(crate) use set::{NewSubscription, SubscriptionLimits, SubscriptionSet};
pub(crate) use wakes::{Attempt, Outcome};
