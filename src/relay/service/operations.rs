//! State of the relay, for operators.

use std::time::Duration;

use super::Relay;
use crate::message::MessageName;
use crate::relay::metrics::Gauges;

impl Relay {
    /// Returns the names of the messages that the service declares to receive, or has handlers for.
    pub(crate) fn receives(&self) -> Vec<MessageName> {
        self.membership().registration.receives
    }

    /// Returns the number of connected subscribers.
    pub(crate) fn followers(&self) -> usize {
        self.0.incoming.subscribers().connected()
    }

    /// Returns the reason why the relay is not on the bus, or `None` if it is.
    pub(crate) fn bus_error(&self) -> Option<String> {
        self.0.presence.error()
    }

    /// Returns the reason why the service behind the webhook cannot be reached, if that is known.
    pub(crate) fn service_error(&self) -> Option<String> {
        self.0.incoming.service_error()
    }

    /// Returns the problem of the message that has waited in the outbox for too long, if there is one.
    pub(crate) fn outbox_error(&self) -> Option<String> {
        let (oldest, age) = self.0.outgoing.oldest()?;
        if age < self.0.config.ready_wait_max()? {
            return None;
        }
        let (messages, name, seconds) = (self.0.outgoing.queued(), oldest.name, age.as_secs());
        let reason = if oldest.is_held { "its receiver is busy" } else { "the bus has not taken it" };
        Some(format!("{messages} messages wait, the oldest, '{name}', for {seconds} s: {reason}"))
    }

    /// Returns the problem of the message that has waited in the inbox for too long, if there is one.
    pub(crate) fn inbox_error(&self) -> Option<String> {
        let subscribers = self.0.incoming.subscribers();
        let (name, age) = subscribers.oldest()?;
        if age < self.0.config.ready_wait_max()? {
            return None;
        }
        let (messages, seconds) = (subscribers.waiting(), age.as_secs());
        let reason = "no follower of GET /messages takes it";
        Some(format!("{messages} messages wait, the oldest, '{name}', for {seconds} s: {reason}"))
    }

    /// Removes the messages of this name that subscribers have not acknowledged, and returns their number.
    pub(crate) fn discard_unread(&self, name: &MessageName) -> usize {
        self.0.incoming.subscribers().discard(name)
    }

    /// Returns true once the relay is shutting down.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.incoming.is_closed()
    }

    /// Updates the gauges; to be called before they are read.
    pub(crate) fn refresh_metrics(&self) {
        self.0.metrics.set(&Gauges {
            waiting_requests: self.waiting(),
            outbox_messages: self.0.outgoing.queued(),
            outbox_held: self.0.outgoing.held(),
            outbox_age: self.0.outgoing.oldest().map_or(Duration::ZERO, |(_, age)| age),
            inbox_messages: self.0.incoming.inbox(),
            inbox_age: self.0.incoming.subscribers().oldest().map_or(Duration::ZERO, |(_, age)| age),
            online: self.bus_error().is_none(),
            dead_letters: self.0.dead_letters.len(),
        });
    }
}
