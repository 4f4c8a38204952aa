//! The trait that connects a relay to a bus.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};

use super::Error;
use crate::message::{Inbox, Message, MessageName, Registration, Verdict};

/// Address under which the broker reaches a relay's listener.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host; `None` lets the broker use the address that the registration comes from.
    pub host: Option<String>,
    /// Port.
    pub port: u16,
    /// Token that deliveries to the listener need.
    pub token: Option<String>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, token } = self;
        let has_token = token.is_some();
        formatter
            .debug_struct("Endpoint")
            .field("host", host)
            .field("port", port)
            .field("has_token", &has_token)
            .finish()
    }
}

/// Everything a relay sends to the bus when it joins and when it renews.
#[derive(Clone)]
pub struct Membership {
    /// Role, instance and messages of the relay.
    pub registration: Registration,
    /// Address for deliveries that travel over the network.
    pub endpoint: Option<Endpoint>,
    /// Receiver of deliveries within the process or over the relay's own connection.
    pub inbox: Arc<dyn Inbox>,
}

/// Transport to a broker.
pub trait Bus: Send + Sync + 'static {
    /// Publishes without waiting. Returns `None` if this bus never supports that.
    fn publish_now(&self, message: &Message) -> Option<Verdict>;

    /// Publishes the first messages of `batch` (not empty) in order and returns a verdict for each of them: at least one,
    /// at most all. After `Busy` for a name, later messages of that name get `Busy` too, so that their order is kept when
    /// they are published again; those of other names are judged on their own. The next call publishes anew.
    ///
    /// After an error none, some or all may have been published; they may be published again, since receivers detect
    /// duplicates by id. Not cancel-safe: a dropped call may still have published.
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Result<Vec<Verdict>, Error>>;

    /// Joins or renews without waiting. Returns `None` if this bus never supports that.
    fn join_now(&self, membership: &Membership) -> Option<Result<Duration, Error>>;

    /// Joins, or renews and updates the membership. Returns the time until the next renewal is due.
    fn join<'a>(&'a self, membership: &'a Membership) -> BoxFuture<'a, Result<Duration, Error>>;

    /// Leaves: nothing is delivered from now on. Does nothing if the relay is not a member.
    fn leave<'a>(&'a self, membership: &'a Membership) -> BoxFuture<'a, Result<(), Error>>;

    /// Returns true if the broker learns from this relay which messages it receives. One that another process configures, as
    /// the originals are, does not.
    fn registers_names(&self) -> bool {
        true
    }

    /// Returns false if this bus knows that no service receives messages of this name, present or absent.
    fn may_receive(&self, name: &MessageName) -> bool {
        let _ = name;
        true
    }

    /// Waits until the connection is lost and returns the cause. Never returns if this bus cannot lose its connection, or
    /// notices the loss only by using it. After a loss it returns at once until the relay joins again. Cancel-safe.
    fn lost(&self) -> BoxFuture<'_, Error> {
        pending().boxed()
    }
}
