//! What a relay asks of a bus.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};

use super::Error;
use crate::message::{Inbox, Message, Registration, Verdict};

/// Where the broker can reach the listener of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The host; `None` lets the broker take the one that the registration comes from.
    pub host: Option<String>,
    /// The port.
    pub port: u16,
}

/// Everything a relay tells the bus when it joins, and each time it renews.
#[derive(Clone)]
pub struct Membership {
    /// Who joins, and for which messages.
    pub registration: Registration,
    /// Where deliveries go if they travel over the network.
    pub endpoint: Option<Endpoint>,
    /// Where deliveries go if they do not.
    pub inbox: Arc<dyn Inbox>,
}

/// A way to the others.
pub trait Bus: Send + Sync + 'static {
    /// Publishes at once, without waiting; `None` if this bus cannot do that, ever.
    fn publish_now(&self, message: &Message) -> Option<Verdict>;

    /// Publishes messages in their order and answers a verdict for each of the first ones: at least one, at most all.
    /// `batch` is not empty. After an error none, some or all may have been published; the same messages may be
    /// published again, since receivers know duplicates by their id. Not cancel-safe in the same sense.
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Result<Vec<Verdict>, Error>>;

    /// Joins or renews at once, without waiting; `None` if this bus cannot do that, ever.
    fn join_now(&self, membership: &Membership) -> Option<Result<Duration, Error>>;

    /// Joins, or renews and updates the membership. Answers how soon it has to be renewed.
    fn join<'a>(&'a self, membership: &'a Membership) -> BoxFuture<'a, Result<Duration, Error>>;

    /// Leaves: nothing is delivered from now on. Leaving twice, or without having joined, does nothing.
    fn leave<'a>(&'a self, membership: &'a Membership) -> BoxFuture<'a, Result<(), Error>>;

    /// Waits until the way to the others is lost, and says why; for ever if that cannot happen, or is only noticed by
    /// using it. After a loss it answers at once, until joined again. Cancel-safe.
    fn lost(&self) -> BoxFuture<'_, Error> {
        pending().boxed()
    }
}
