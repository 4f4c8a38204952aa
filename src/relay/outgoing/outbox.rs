//! The outbox: a bounded queue of accepted messages that wait for the bus, in order of sending.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::message::{Completion, Message, Receipt};
use crate::relay::Error;

/// Wait suggested to a sender that found the outbox full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Durable log of accepted messages. With a log, a send is accepted once its message is stored; without one, as soon as
/// it is queued.
pub(in crate::relay) trait Log: Send + Sync {
    /// Stores a message. Never blocks; called in the order of sending. The message is published after the receipt says
    /// that it is stored; after an error it is not.
    fn append(&self, message: &Message) -> Receipt<Result<(), Error>>;
}

/// A message in the outbox. It is dropped at `until`, when its requester stops waiting for the reply.
pub(in crate::relay) struct Entry {
    pub(super) message: Message,
    pub(super) until: Option<Instant>,
}

/// A message that the log has not stored yet, with its reserved slot in the queue.
pub(in crate::relay) struct Unconfirmed {
    entry: Entry,
    slot: mpsc::OwnedPermit<Entry>,
    stored: Receipt<Result<(), Error>>,
    accepted: Completion<Result<(), Error>>,
}

/// Sending end of the outbox.
pub(super) struct Outbox {
    queue: mpsc::Sender<Entry>,
    log: Option<(Arc<dyn Log>, mpsc::Sender<Unconfirmed>)>,
    /// Messages accepted or waiting for the log, and not concluded: queued, or on their way to the bus.
    messages: AtomicUsize,
    closing: CancellationToken,
    empty: CancellationToken,
}

/// Receiving ends of the outbox, for the tasks that empty it.
pub(in crate::relay) struct Queues {
    /// For [`super::publish_all`].
    pub(in crate::relay) queue: mpsc::Receiver<Entry>,
    /// For [`super::Outgoing::confirm_all`]; `None` if there is no log.
    pub(in crate::relay) unconfirmed: Option<mpsc::Receiver<Unconfirmed>>,
}

impl Outbox {
    pub(super) fn new(messages_max: usize, log: Option<Arc<dyn Log>>) -> (Self, Queues) {
        let messages_max = messages_max.max(1);
        let (queue, receiver) = mpsc::channel(messages_max);
        let (log, unconfirmed) = match log {
            None => (None, None),
            Some(log) => {
                let (sender, receiver) = mpsc::channel(messages_max);
                (Some((log, sender)), Some(receiver))
            }
        };
        let (closing, empty) = (CancellationToken::new(), CancellationToken::new());
        let outbox = Self { queue, log, messages: AtomicUsize::new(0), closing, empty };
        (outbox, Queues { queue: receiver, unconfirmed })
    }

    /// Queues a message. The receipt says when it is accepted; an error means that it will not be sent.
    pub(super) fn push(&self, message: Message, until: Option<Instant>) -> Receipt<Result<(), Error>> {
        let entry = Entry { message, until };
        self.messages.fetch_add(1, Ordering::AcqRel);
        let receipt = match &self.log {
            None => Receipt::Now(self.queue.try_send(entry).map_err(|error| self.rejected(&error))),
            Some((log, unconfirmed)) => self.push_logged(&**log, unconfirmed, entry),
        };
        if let Receipt::Now(Err(_)) = &receipt {
            self.conclude(1);
        }
        receipt
    }

    fn push_logged(
        &self,
        log: &dyn Log,
        unconfirmed: &mpsc::Sender<Unconfirmed>,
        entry: Entry,
    ) -> Receipt<Result<(), Error>> {
        // The slot also bounds the messages that wait for the log, so both queues have enough capacity.
        let slot = match self.queue.clone().try_reserve_owned() {
            Ok(slot) => slot,
            Err(error) => return Receipt::Now(Err(self.rejected(&error))),
        };
        // Before the message is stored: a refused one must not be sent after a restart.
        let permit = match unconfirmed.try_reserve() {
            Ok(permit) => permit,
            Err(error) => return Receipt::Now(Err(self.rejected(&error))),
        };
        let stored = log.append(&entry.message);
        let (accepted, receipt) = Receipt::later(Err(Error::Closed));
        permit.send(Unconfirmed { entry, slot, stored, accepted });
        receipt
    }

    fn rejected<T>(&self, error: &TrySendError<T>) -> Error {
        match error {
            TrySendError::Full(_) => {
                Error::Busy { what: "the outbox", places: self.queue.max_capacity(), retry_after: RETRY_AFTER }
            }
            TrySendError::Closed(_) => Error::Closed,
        }
    }

    /// Accepts messages and moves them on to the publisher as the log stores them. Returns once the outbox is closed and
    /// no message waits for the log.
    pub(super) async fn confirm_all(&self, mut unconfirmed: mpsc::Receiver<Unconfirmed>) {
        loop {
            let next = tokio::select! {
                next = unconfirmed.recv() => next,
                () = self.closed() => {
                    unconfirmed.close();
                    unconfirmed.recv().await
                }
            };
            let Some(Unconfirmed { entry, slot, stored, accepted }) = next else { return };
            let stored = stored.wait().await;
            match &stored {
                Ok(()) => drop(slot.send(entry)),
                Err(_) => self.conclude(1),
            }
            accepted.complete(stored);
        }
    }

    /// Number of messages that are not concluded.
    pub(super) fn len(&self) -> usize {
        self.messages.load(Ordering::Acquire)
    }

    /// Removes messages from the count: they were published, dropped or refused.
    pub(super) fn conclude(&self, count: usize) {
        let before = self.messages.fetch_sub(count, Ordering::AcqRel);
        assert!(before >= count, "a message is concluded once");
    }

    /// Accepts no more messages.
    pub(super) fn close(&self) {
        self.closing.cancel();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Waits for [`Outbox::close`]. Cancel-safe.
    pub(super) async fn closed(&self) {
        self.closing.cancelled().await;
    }

    /// Waits until the outbox is closed and every message is concluded. Cancel-safe.
    pub(super) async fn emptied(&self) {
        self.empty.cancelled().await;
    }

    pub(super) fn set_empty(&self) {
        self.empty.cancel();
    }
}
