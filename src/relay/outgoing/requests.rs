//! Requests that wait for replies.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::rules::{Full, Late, Waiters};
use crate::memory::{Budget, Reserved};
use crate::message::{Message, MessageId};
use crate::relay::{Config, Error};
use crate::sync::lock;

/// Replies that may be queued for a requester that reads them as a stream; a further one is refused and comes again.
const REPLIES_WAITING_MAX: usize = 64;

/// Wait suggested to a requester that found the table full.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// A reply, or the reason why there will be none.
pub(super) type Reply = Result<Message, Error>;

/// Receiver of the replies to one request.
enum Waiter {
    /// A request for a single reply.
    One(oneshot::Sender<Reply>),
    /// A request that reads its replies as a stream. One place is left for the failure that ends it.
    Many(mpsc::Sender<Waiting>, Budget),
}

/// A reply that waits for its requester, and the bytes that it takes until then.
pub(super) struct Waiting {
    pub(super) reply: Reply,
    _reserved: Option<Reserved>,
}

/// Table of the requests that wait for replies. Bounded by `waiters_max`.
pub(super) struct Requests {
    waiters: Mutex<Waiters<Waiter>>,
    /// Callers that wait for the reply of a call under an idempotency key.
    joined: AtomicUsize,
    waiters_max: usize,
    replies_bytes_max: usize,
    memory: Budget,
}

/// Outcome of matching a message with the request it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::relay) enum ReplyOutcome {
    /// The requester has it.
    Accepted,
    /// The requester reads too slowly; the reply has to come again.
    Full,
    /// The request has ended.
    Late(Late),
    /// The relay made no such request, or it ended long ago.
    Unknown,
}

/// Entry of a request in the table. Dropping it removes the entry.
pub(super) struct WaitGuard {
    requests: Arc<Requests>,
    id: MessageId,
}

impl WaitGuard {
    pub(super) fn id(&self) -> &MessageId {
        &self.id
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        lock(&self.requests.waiters).remove(&self.id);
    }
}

/// Counts a caller that waits for the reply of a call under an idempotency key.
pub(super) struct JoinGuard(Arc<Requests>);

impl Drop for JoinGuard {
    fn drop(&mut self) {
        self.0.joined.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Requests {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            waiters: Mutex::new(Waiters::new(config.waiters_max)),
            joined: AtomicUsize::new(0),
            waiters_max: config.waiters_max,
            replies_bytes_max: config.replies_bytes_max,
            memory: config.memory.clone(),
        }
    }

    /// Waits for one reply to the message `id`. Errors: [`Error::Busy`].
    pub(super) fn wait_for_one(
        self: &Arc<Self>,
        id: &MessageId,
    ) -> Result<(WaitGuard, oneshot::Receiver<Reply>), Error> {
        let (sender, receiver) = oneshot::channel();
        Ok((self.insert(id, Waiter::One(sender))?, receiver))
    }

    /// Waits for any number of replies to the message `id`. Errors: [`Error::Busy`].
    pub(super) fn wait_for_many(
        self: &Arc<Self>,
        id: &MessageId,
    ) -> Result<(WaitGuard, mpsc::Receiver<Waiting>), Error> {
        let (sender, receiver) = mpsc::channel(REPLIES_WAITING_MAX + 1);
        let replies = self.memory.part(self.replies_bytes_max);
        Ok((self.insert(id, Waiter::Many(sender, replies))?, receiver))
    }

    /// Waits for the reply of a call under an idempotency key. Errors: [`Error::Busy`].
    pub(super) fn join(self: &Arc<Self>) -> Result<JoinGuard, Error> {
        if self.len() >= self.waiters_max {
            return Err(self.full());
        }
        self.joined.fetch_add(1, Ordering::AcqRel);
        Ok(JoinGuard(Arc::clone(self)))
    }

    fn insert(self: &Arc<Self>, id: &MessageId, waiter: Waiter) -> Result<WaitGuard, Error> {
        lock(&self.waiters).insert(id.clone(), waiter).map_err(|Full| self.full())?;
        Ok(WaitGuard { requests: Arc::clone(self), id: id.clone() })
    }

    fn full(&self) -> Error {
        Error::Busy { what: "the table of waiting requests", places: self.waiters_max, retry_after: RETRY_AFTER }
    }

    /// Completes the request `id` with `reply`.
    pub(super) fn complete(&self, id: &MessageId, reply: &Message) -> ReplyOutcome {
        let mut waiters = lock(&self.waiters);
        match waiters.get(id) {
            None => waiters.late(id).map_or(ReplyOutcome::Unknown, ReplyOutcome::Late),
            Some(Waiter::Many(replies, _)) if replies.capacity() <= 1 => ReplyOutcome::Full,
            Some(Waiter::Many(replies, memory)) => {
                let bytes = reply.memory_bytes();
                let reserved = memory.reserve(bytes);
                // One that is too large on its own comes alone.
                if reserved.is_none() && (memory.used() > 0 || bytes <= memory.bytes_max()) {
                    return ReplyOutcome::Full;
                }
                match replies.try_send(Waiting { reply: Ok(reply.clone()), _reserved: reserved }) {
                    Ok(()) => ReplyOutcome::Accepted,
                    Err(_) => ReplyOutcome::Full,
                }
            }
            Some(Waiter::One(_)) => {
                let waiter = waiters.remove(id);
                drop(waiters);
                if let Some(Waiter::One(waiter)) = waiter {
                    // The requester may have given up this very moment; the reply is then merely late.
                    drop(waiter.send(Ok(reply.clone())));
                }
                ReplyOutcome::Accepted
            }
        }
    }

    /// Ends the request `id` with an error. Returns false if no such request waits.
    pub(super) fn fail(&self, id: &MessageId, error: Error) -> bool {
        let waiter = lock(&self.waiters).remove(id);
        match waiter {
            None => false,
            Some(Waiter::One(waiter)) => waiter.send(Err(error)).is_ok(),
            Some(Waiter::Many(replies, _)) => replies.try_send(Waiting { reply: Err(error), _reserved: None }).is_ok(),
        }
    }

    /// Ends all requests that wait.
    pub(super) fn fail_all(&self, error: &Error) {
        let ids = lock(&self.waiters).ids();
        for id in ids {
            // It may have ended this very moment.
            self.fail(&id, error.clone());
        }
    }

    pub(super) fn contains(&self, id: &MessageId) -> bool {
        lock(&self.waiters).get(id).is_some()
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.waiters).len() + self.joined.load(Ordering::Acquire)
    }
}
