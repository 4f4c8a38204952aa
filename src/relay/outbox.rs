//! The outbox: messages that have their place and wait for the bus, sent in order, kept while the bus is away.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Error, Relay};
use crate::http::Backoff;
use crate::message::{Message, Verdict};

/// When a sender that found the outbox full should try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A message on its way out. After `until` nobody waits for a reply to it any more, so it is not sent.
pub(super) struct Outgoing {
    message: Message,
    until: Option<Instant>,
}

/// The sending end of the outbox.
pub(super) struct Outbox {
    places: mpsc::Sender<Outgoing>,
    /// Messages that were accepted and are not settled: those that wait, and those on their way to the bus.
    unsettled: AtomicUsize,
    emptied: CancellationToken,
}

impl Outbox {
    pub(super) fn new(messages_max: usize) -> (Self, mpsc::Receiver<Outgoing>) {
        let (places, receiver) = mpsc::channel(messages_max.max(1));
        (Self { places, unsettled: AtomicUsize::new(0), emptied: CancellationToken::new() }, receiver)
    }

    pub(super) fn push(&self, message: Message, until: Option<Instant>) -> Result<(), Error> {
        self.unsettled.fetch_add(1, Ordering::AcqRel);
        self.places.try_send(Outgoing { message, until }).map_err(|error| {
            self.settled(1);
            match error {
                mpsc::error::TrySendError::Full(_) => {
                    let places = self.places.max_capacity();
                    Error::Busy { what: "the outbox", places, retry_after: RETRY_AFTER }
                }
                mpsc::error::TrySendError::Closed(_) => Error::Closed,
            }
        })
    }

    /// Messages that are not settled.
    pub(super) fn len(&self) -> usize {
        self.unsettled.load(Ordering::Acquire)
    }

    /// Waits until the outbox is closed and everything in it is settled. Cancel-safe.
    pub(super) async fn emptied(&self) {
        self.emptied.cancelled().await;
    }

    fn settled(&self, count: usize) {
        let before = self.unsettled.fetch_sub(count, Ordering::AcqRel);
        assert!(before >= count, "a message is settled once");
    }
}

/// What is taken out of the outbox at once and stays here until the bus has judged it.
#[derive(Default)]
struct Batch {
    messages: Vec<Message>,
    until: Vec<Option<Instant>>,
}

impl Batch {
    fn push(&mut self, outgoing: Outgoing) {
        self.messages.push(outgoing.message);
        self.until.push(outgoing.until);
    }

    fn drop_first(&mut self, count: usize) {
        self.messages.drain(..count);
        self.until.drain(..count);
    }

    /// Forgets requests that nobody waits for any more.
    fn drop_overdue(&mut self, now: Instant) {
        let overdue = |until: &Option<Instant>| until.is_some_and(|until| until <= now);
        let mut until = self.until.iter();
        self.messages.retain(|_| !until.next().is_some_and(overdue));
        self.until.retain(|until| !overdue(until));
        assert_eq!(self.messages.len(), self.until.len());
    }
}

/// Runs until the outbox is closed and empty.
pub(super) async fn publish_all(relay: Relay, mut outbox: mpsc::Receiver<Outgoing>) {
    let batch_max = relay.config().batch_messages_max.max(1);
    let mut taken = Vec::with_capacity(batch_max);
    let mut batch = Batch::default();
    let mut failures = relay.backoff();
    loop {
        if batch.messages.is_empty() {
            let received = tokio::select! {
                received = outbox.recv_many(&mut taken, batch_max) => received,
                () = relay.outbox_closing() => {
                    outbox.close();
                    outbox.recv_many(&mut taken, batch_max).await
                }
            };
            if received == 0 {
                relay.outbox().emptied.cancel();
                return;
            }
            taken.drain(..).for_each(|outgoing| batch.push(outgoing));
        }
        relay.online().await;
        let before = batch.messages.len();
        batch.drop_overdue(Instant::now());
        relay.outbox().settled(before - batch.messages.len());
        if batch.messages.is_empty() {
            continue;
        }
        let wait = publish_once(&relay, &mut batch, &mut failures).await;
        if let Some(wait) = wait {
            tokio::time::sleep(wait).await;
        }
    }
}

/// Publishes what the batch holds and settles what was judged. Answers how long to wait before the rest is tried.
async fn publish_once(relay: &Relay, batch: &mut Batch, failures: &mut Backoff) -> Option<Duration> {
    let verdicts = match relay.bus().publish(&batch.messages).await {
        Ok(verdicts) => verdicts,
        Err(error) => {
            relay.lost_bus(&error);
            return Some(failures.next());
        }
    };
    failures.reset();
    assert!(verdicts.len() <= batch.messages.len(), "the bus judged more messages than it was given");
    let mut settled = 0;
    let mut wait = None;
    for (message, verdict) in batch.messages.iter().zip(&verdicts) {
        if let Verdict::Busy { retry_after } = verdict {
            wait = Some(*retry_after);
            break;
        }
        relay.settle(message, verdict);
        settled += 1;
    }
    batch.drop_first(settled);
    relay.outbox().settled(settled);
    wait
}
