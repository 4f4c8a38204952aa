//! Task that publishes the outbox: in order, in batches, and again while the bus is away or busy.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::dispatch::Outgoing;
use super::outbox::Entry;
use crate::http::Backoff;
use crate::message::{Message, Verdict};
use crate::relay::Config;
use crate::relay::presence::Presence;

/// Publishes every message of `queue`. Returns once the outbox is closed and empty.
pub(in crate::relay) async fn publish_all(
    outgoing: Arc<Outgoing>,
    presence: Arc<Presence>,
    mut queue: mpsc::Receiver<Entry>,
    config: Config,
) {
    let batch_max = config.batch_messages_max.max(1);
    let mut taken = Vec::with_capacity(batch_max);
    let mut batch = Batch::default();
    let mut backoff = Backoff::new(config.retry_wait_max());
    loop {
        if batch.messages.is_empty() {
            let received = tokio::select! {
                received = queue.recv_many(&mut taken, batch_max) => received,
                () = outgoing.closed() => {
                    queue.close();
                    queue.recv_many(&mut taken, batch_max).await
                }
            };
            if received == 0 {
                outgoing.set_empty();
                return;
            }
            taken.drain(..).for_each(|entry| batch.push(entry));
        }
        presence.online().await;
        let before = batch.messages.len();
        batch.drop_overdue(Instant::now());
        outgoing.drop_overdue(before - batch.messages.len());
        if batch.messages.is_empty() {
            continue;
        }
        let wait = publish_once(&outgoing, &presence, &mut batch, &mut backoff).await;
        if let Some(wait) = wait {
            tokio::time::sleep(wait).await;
        }
    }
}

/// Publishes the batch once and removes the messages that the bus has decided on. Returns the wait before the next
/// attempt, if the rest needs one.
async fn publish_once(
    outgoing: &Outgoing,
    presence: &Presence,
    batch: &mut Batch,
    backoff: &mut Backoff,
) -> Option<Duration> {
    let verdicts = match outgoing.publish(&batch.messages).await {
        Ok(verdicts) => verdicts,
        Err(error) => {
            presence.lost(&error);
            return Some(backoff.next());
        }
    };
    backoff.reset();
    assert!(verdicts.len() <= batch.messages.len(), "the bus returned more verdicts than it was given messages");
    let mut concluded = 0;
    let mut wait = None;
    for (message, verdict) in batch.messages.iter().zip(&verdicts) {
        if let Verdict::Busy { retry_after } = verdict {
            wait = Some(*retry_after);
            break;
        }
        outgoing.conclude(message, verdict);
        concluded += 1;
    }
    batch.drop_first(concluded);
    wait
}

/// Messages that were taken out of the outbox and wait for their verdict.
#[derive(Default)]
struct Batch {
    messages: Vec<Message>,
    until: Vec<Option<Instant>>,
}

impl Batch {
    fn push(&mut self, entry: Entry) {
        self.messages.push(entry.message);
        self.until.push(entry.until);
    }

    fn drop_first(&mut self, count: usize) {
        self.messages.drain(..count);
        self.until.drain(..count);
    }

    /// Drops requests whose time is over.
    fn drop_overdue(&mut self, now: Instant) {
        let overdue = |until: &Option<Instant>| until.is_some_and(|until| until <= now);
        let mut until = self.until.iter();
        self.messages.retain(|_| !until.next().is_some_and(overdue));
        self.until.retain(|until| !overdue(until));
        assert_eq!(self.messages.len(), self.until.len());
    }
}
