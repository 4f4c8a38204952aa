//! The replies to one request, as a stream.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::idempotency::Joined;
use super::requests::{Reply, WaitGuard, Waiting};
use crate::message::{Message, MessageId, MessageName, Pending, Receipt};
use crate::relay::Error;

/// The replies to one request. Dropping it ends the request; its message may have been sent.
pub struct Replies {
    id: MessageId,
    /// `None` once there are no more replies: the request has ended, and what comes later is late.
    source: Option<Source>,
    name: MessageName,
    timeout: Duration,
    deadline: Instant,
    last: Option<MessageName>,
    left: Option<usize>,
}

/// Source of the replies.
enum Source {
    /// A request of its own.
    Own {
        replies: mpsc::Receiver<Waiting>,
        /// Confirmation that the request is accepted, until it has come.
        acceptance: Option<Pending<Result<(), Error>>>,
        _guard: WaitGuard,
    },
    /// A call under an idempotency key, which others may have joined too.
    Joined(Joined),
}

impl Source {
    /// Waits until the request is accepted. Cancel-safe.
    async fn accepted(&mut self) -> Result<(), Error> {
        match self {
            Self::Joined(joined) => joined.call().accepted().await,
            Self::Own { acceptance, .. } => {
                let Some(pending) = acceptance else { return Ok(()) };
                let outcome = pending.await;
                *acceptance = None;
                outcome
            }
        }
    }

    /// Returns the next reply, or the reason why there will be none. Cancel-safe.
    async fn next(&mut self) -> Reply {
        if let Self::Own { acceptance: Some(_), .. } = self {
            self.accepted().await?;
        }
        match self {
            Self::Joined(joined) => joined.next().await,
            // The sender lives in the table of requests as long as the guard.
            Self::Own { replies, .. } => replies.recv().await.map_or(Err(Error::Closed), |waiting| waiting.reply),
        }
    }
}

impl Replies {
    /// The stream of replies to the request `name`. Errors: those of the receipt, if it is known already.
    pub(super) fn own(
        (guard, replies): (WaitGuard, mpsc::Receiver<Waiting>),
        receipt: Receipt<Result<(), Error>>,
        name: MessageName,
        (timeout, deadline): (Duration, Instant),
    ) -> Result<Self, Error> {
        let acceptance = match receipt {
            Receipt::Now(outcome) => outcome.map(|()| None)?,
            Receipt::Later(pending) => Some(pending),
        };
        let id = guard.id().clone();
        let source = Some(Source::Own { replies, acceptance, _guard: guard });
        Ok(Self { id, source, name, timeout, deadline, last: None, left: None })
    }

    /// The stream of replies to a call under an idempotency key, from the first one on.
    pub(super) fn joined(joined: Joined, name: MessageName, (timeout, deadline): (Duration, Instant)) -> Self {
        let id = joined.call().id.clone();
        Self { id, source: Some(Source::Joined(joined)), name, timeout, deadline, last: None, left: None }
    }

    pub(in crate::relay) fn until(mut self, last: Option<MessageName>) -> Self {
        self.last = last;
        self
    }

    pub(in crate::relay) fn at_most(mut self, replies_max: Option<usize>) -> Self {
        self.left = replies_max;
        if replies_max == Some(0) {
            self.source = None;
        }
        self
    }

    /// The id of the request.
    pub fn id(&self) -> &MessageId {
        &self.id
    }

    /// Waits until the request is accepted. Errors: [`Error::NoReply`] when the timeout has passed before. Cancel-safe.
    pub(in crate::relay) async fn accepted(&mut self) -> Result<(), Error> {
        let Some(source) = &mut self.source else { return Ok(()) };
        let outcome = tokio::time::timeout_at(self.deadline, source.accepted()).await;
        outcome.unwrap_or_else(|_| Err(self.no_reply()))
    }

    /// Returns the next reply. `None` after the last one, as set with [`super::super::Requesting::until`] or
    /// [`super::super::Requesting::at_most`]. [`Error::NoReply`] when the timeout has passed; other errors are those of
    /// [`super::super::Relay::request`]. After an error comes `None`. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        let source = self.source.as_mut()?;
        let received = tokio::time::timeout_at(self.deadline, source.next()).await;
        let outcome = received.unwrap_or_else(|_| Err(self.no_reply()));
        self.left = self.left.map(|left| left.saturating_sub(1));
        let is_last = match &outcome {
            Ok(reply) => self.left == Some(0) || self.last.as_ref() == Some(&reply.name),
            Err(_) => true,
        };
        if is_last {
            self.source = None;
        }
        Some(outcome)
    }

    fn no_reply(&self) -> Error {
        Error::NoReply { name: self.name.clone(), timeout: self.timeout }
    }
}
