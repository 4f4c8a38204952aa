//! The outbox: a bounded queue of accepted messages that wait for the bus, in order of sending.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::rules::{Batch, Dropped, Oldest, Queue, QueueLimits, Rejected, Waiting};
use crate::memory::{Budget, Exceeded};
use crate::message::{Completion, Message, MessageId, Receipt, Verdict};
use crate::relay::{Config, Error};
use crate::sync::lock;

/// Wait suggested to a sender that found the outbox full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Name of the bound on all queues of the process, for errors.
pub(in crate::relay) const MEMORY: &str = "the memory for queues (memory.queues_bytes_max)";

/// Durable log of accepted messages. With a log, a send is accepted once its message is stored; without one, as soon as
/// it is queued.
pub(in crate::relay) trait Log: Send + Sync {
    /// Stores a message. Never blocks; called in the order of sending. The message is published after the receipt says
    /// that it is stored; after an error it is not.
    fn append(&self, message: &Message) -> Receipt<Result<(), Error>>;
}

/// A message that the log has not stored yet. It has its place in the queue.
pub(in crate::relay) struct Unconfirmed {
    message: Message,
    waiting: Waiting,
    stored: Receipt<Result<(), Error>>,
    accepted: Completion<Result<(), Error>>,
}

/// State of the outbox. Replies overtake other messages, and messages for a busy receiver are held back.
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    messages_max: usize,
    bytes_max: usize,
    memory: Budget,
    /// Signals that a message was queued, or that the outbox is closing.
    changed: Notify,
    log: Option<(Arc<dyn Log>, mpsc::Sender<Unconfirmed>)>,
    closing: CancellationToken,
    empty: CancellationToken,
}

impl Outbox {
    /// Creates the outbox. With a log there is a receiver, for [`Outbox::confirm_all`].
    pub(super) fn new(config: &Config, log: Option<Arc<dyn Log>>) -> (Self, Option<mpsc::Receiver<Unconfirmed>>) {
        let messages_max = config.outbox_messages_max.max(1);
        let (log, unconfirmed) = match log {
            None => (None, None),
            Some(log) => {
                // Each lane of the queue has that many places.
                let (sender, receiver) = mpsc::channel(2 * messages_max);
                (Some((log, sender)), Some(receiver))
            }
        };
        let (bytes_max, memory) = (config.outbox_bytes_max, config.memory.clone());
        let retry_wait_max = config.retry_wait_max();
        let limits = QueueLimits { messages_max, bytes_max, memory: memory.clone(), retry_wait_max };
        let outbox = Self {
            queue: Mutex::new(Queue::new(&limits)),
            messages_max,
            bytes_max,
            memory,
            changed: Notify::new(),
            log,
            closing: CancellationToken::new(),
            empty: CancellationToken::new(),
        };
        (outbox, unconfirmed)
    }

    /// Queues a message; a request until `until`, when its requester stops waiting. The receipt says when it is accepted;
    /// an error means that it will not be sent.
    pub(super) fn push(&self, message: Message, until: Option<Instant>) -> Receipt<Result<(), Error>> {
        let since = Instant::now().into_std();
        let waiting = Waiting { since, until: until.map(Instant::into_std), attempted: false };
        let Some((log, unconfirmed)) = &self.log else {
            let mut queue = lock(&self.queue);
            if let Err(rejected) = queue.reserve(&message) {
                return Receipt::Now(Err(self.rejected(rejected)));
            }
            queue.push(message, waiting);
            drop(queue);
            self.changed.notify_one();
            return Receipt::Now(Ok(()));
        };
        if let Err(rejected) = lock(&self.queue).reserve(&message) {
            return Receipt::Now(Err(self.rejected(rejected)));
        }
        // Before the message is stored: a refused one must not be sent after a restart.
        let Ok(permit) = unconfirmed.try_reserve() else {
            lock(&self.queue).give_up(&message);
            return Receipt::Now(Err(Error::Closed));
        };
        let stored = log.append(&message);
        let (accepted, receipt) = Receipt::later(Err(Error::Closed));
        permit.send(Unconfirmed { message, waiting, stored, accepted });
        receipt
    }

    fn rejected(&self, rejected: Rejected) -> Error {
        let (what, places) = match rejected {
            Rejected::Full => ("the outbox", self.messages_max),
            Rejected::Bytes(Exceeded::Own) => ("the outbox in bytes (relay.outbox_bytes_max)", self.bytes_max),
            Rejected::Bytes(Exceeded::Budget) => (MEMORY, self.memory.bytes_max()),
            Rejected::ReceiverBusy { waiting } => ("the outbox's share for one busy receiver", waiting),
            Rejected::Closed => return Error::Closed,
        };
        Error::Busy { what, places, retry_after: RETRY_AFTER }
    }

    /// Accepts messages and moves them on to the publisher as the log stores them. `on_stored` gets the id of
    /// each with the outcome. Returns once the outbox is closed and no message waits for the log.
    pub(super) async fn confirm_all(
        &self,
        mut unconfirmed: mpsc::Receiver<Unconfirmed>,
        on_stored: impl Fn(&MessageId, &Result<(), Error>),
    ) {
        loop {
            let next = tokio::select! {
                next = unconfirmed.recv() => next,
                () = self.closing.cancelled() => {
                    unconfirmed.close();
                    unconfirmed.recv().await
                }
            };
            let Some(Unconfirmed { message, waiting, stored, accepted }) = next else { return };
            let (id, stored) = (message.id.clone(), stored.wait().await);
            match &stored {
                Ok(()) => lock(&self.queue).push(message, waiting),
                Err(_) => lock(&self.queue).give_up(&message),
            }
            on_stored(&id, &stored);
            self.changed.notify_one();
            accepted.complete(stored);
        }
    }

    /// Moves the next messages into `batch`, and requests that are not to be published into `dropped`. Returns the time
    /// until messages that are held back can be tried again.
    pub(super) fn take(&self, messages_max: usize, batch: &mut Batch, dropped: &mut Vec<Dropped>) -> Option<Duration> {
        let now = Instant::now().into_std();
        let mut queue = lock(&self.queue);
        queue.take(now, messages_max, batch, dropped);
        queue.due().map(|due| due.saturating_duration_since(now))
    }

    /// Takes back what the bus has not decided on: see [`Queue::settle`].
    pub(super) fn settle(&self, batch: &mut Batch, verdicts: &[Verdict]) {
        lock(&self.queue).settle(batch, verdicts, Instant::now().into_std());
    }

    /// Gives up the place of a dropped message.
    pub(super) fn give_up(&self, message: &Message) {
        lock(&self.queue).give_up(message);
    }

    /// Removes the requests that were never published.
    pub(super) fn drop_unpublished_requests(&self) -> Vec<Message> {
        lock(&self.queue).drop_unpublished_requests()
    }

    /// Waits until a message is queued, or the outbox is closing. Cancel-safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Number of messages that are not concluded.
    pub(super) fn len(&self) -> usize {
        lock(&self.queue).len()
    }

    /// Number of messages that are held back, since their receiver is busy.
    pub(super) fn held(&self) -> usize {
        lock(&self.queue).held()
    }

    /// Returns the message that has waited longest, and for how long.
    pub(super) fn oldest(&self) -> Option<(Oldest, Duration)> {
        let oldest = lock(&self.queue).oldest()?;
        let age = Instant::now().into_std().saturating_duration_since(oldest.since);
        Some((oldest, age))
    }

    /// Accepts no more messages.
    pub(super) fn close(&self) {
        self.closing.cancel();
        self.changed.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Returns true once the outbox is closed and every message is concluded.
    pub(super) fn has_ended(&self) -> bool {
        let ended = self.is_closed() && lock(&self.queue).end();
        if ended {
            self.empty.cancel();
        }
        ended
    }

    /// Waits until the outbox has ended. Cancel-safe.
    pub(super) async fn emptied(&self) {
        self.empty.cancelled().await;
    }
}
