//! The replies to one request, as a stream.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::requests::{Reply, WaitGuard};
use crate::message::{Message, MessageId, MessageName, Pending, Receipt};
use crate::relay::Error;

/// The replies to one request. Dropping it ends the request; its message may have been sent.
pub struct Replies {
    guard: WaitGuard,
    replies: mpsc::Receiver<Reply>,
    /// Confirmation that the request is accepted, until it has come.
    acceptance: Option<Pending<Result<(), Error>>>,
    name: MessageName,
    timeout: Duration,
    deadline: Instant,
    last: Option<MessageName>,
    left: Option<usize>,
    done: bool,
}

impl Replies {
    /// The stream of replies to the request `name`. Errors: those of the receipt, if it is known already.
    pub(super) fn new(
        (guard, replies): (WaitGuard, mpsc::Receiver<Reply>),
        receipt: Receipt<Result<(), Error>>,
        name: MessageName,
        (timeout, deadline): (Duration, Instant),
    ) -> Result<Self, Error> {
        let acceptance = match receipt {
            Receipt::Now(outcome) => outcome.map(|()| None)?,
            Receipt::Later(pending) => Some(pending),
        };
        Ok(Self { guard, replies, acceptance, name, timeout, deadline, last: None, left: None, done: false })
    }

    pub(in crate::relay) fn until(mut self, last: Option<MessageName>) -> Self {
        self.last = last;
        self
    }

    pub(in crate::relay) fn at_most(mut self, replies_max: Option<usize>) -> Self {
        self.left = replies_max;
        self
    }

    /// The id of the request.
    pub fn id(&self) -> &MessageId {
        self.guard.id()
    }

    /// Waits until the request is accepted. Cancel-safe.
    pub(in crate::relay) async fn accepted(&mut self) -> Result<(), Error> {
        let Some(pending) = &mut self.acceptance else { return Ok(()) };
        let outcome = pending.await;
        self.acceptance = None;
        outcome
    }

    /// Returns the next reply. `None` after the last one, as set with [`super::super::Requesting::until`] or
    /// [`super::super::Requesting::at_most`]. [`Error::NoReply`] when the timeout has passed; other errors are those of
    /// [`super::super::Relay::request`]. After an error comes `None`. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        if self.done || self.left == Some(0) {
            return None;
        }
        let deadline = self.deadline;
        let received = tokio::time::timeout_at(deadline, async {
            match self.accepted().await {
                Ok(()) => self.replies.recv().await,
                Err(error) => Some(Err(error)),
            }
        });
        let Ok(Some(outcome)) = received.await else {
            self.done = true;
            return Some(Err(Error::NoReply { name: self.name.clone(), timeout: self.timeout }));
        };
        match &outcome {
            Ok(reply) => {
                self.left = self.left.map(|left| left - 1);
                self.done = self.last.as_ref() == Some(&reply.name);
            }
            Err(_) => self.done = true,
        }
        Some(outcome)
    }
}
