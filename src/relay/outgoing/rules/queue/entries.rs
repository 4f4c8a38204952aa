//! Messages of the queue, and those that leave it.

use std::time::{Duration, Instant};

use crate::message::Message;

/// Times of a message that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Time at which it was accepted.
    pub(crate) since: Instant,
    /// Time at which its requester stops waiting; `None` if it is no request.
    pub(crate) until: Option<Instant>,
    /// True once it may have been published, by an attempt whose outcome is unknown.
    pub(crate) attempted: bool,
}

impl Waiting {
    /// Returns true for a request that fails when its receiver is busy. One that may have been published already does not:
    /// its reply may be on the way.
    pub(crate) fn fails_if_busy(&self) -> bool {
        self.until.is_some() && !self.attempted
    }

    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

pub(super) type Entry = (Message, Waiting);

/// Messages that are published together, in order.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) messages: Vec<Message>,
    pub(crate) waiting: Vec<Waiting>,
}

impl Batch {
    pub(super) fn push(&mut self, (message, waiting): Entry) {
        self.messages.push(message);
        self.waiting.push(waiting);
    }
}

/// A request that leaves the queue without a verdict.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// Its requester no longer waits.
    Overdue(Message),
    /// Its receiver is busy.
    Busy(Message, Duration),
}
