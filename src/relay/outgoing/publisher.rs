//! Task that publishes the outbox: in batches, and again while the bus is away or a receiver is busy.

use std::sync::Arc;
use std::time::Duration;

use super::dispatch::Outgoing;
use super::rules::Batch;
use crate::bus;
use crate::http::{Backoff, ClientError};
use crate::message::Verdict;
use crate::relay::Config;
use crate::relay::presence::Presence;

/// Publishes every message of the outbox. Returns once it is closed and empty.
pub(in crate::relay) async fn publish_all(outgoing: Arc<Outgoing>, presence: Arc<Presence>, config: Config) {
    let batch_max = config.batch_messages_max.max(1);
    let (mut batch, mut dropped) = (Batch::default(), Vec::new());
    let mut backoff = Backoff::new(config.retry_wait_max());
    while !outgoing.outbox().has_ended() {
        if !presence.is_online() {
            wait_offline(&outgoing, &presence).await;
            continue;
        }
        let due = outgoing.outbox().take(batch_max, &mut batch, &mut dropped);
        dropped.drain(..).for_each(|dropped| outgoing.conclude_dropped(dropped));
        if batch.messages.is_empty() {
            if !outgoing.outbox().has_ended() {
                wait(&outgoing, due).await;
            }
            continue;
        }
        if let Err(error) = publish_once(&outgoing, &mut batch).await {
            presence.lost(&error);
            if let Some(error) = presence.bus_error() {
                outgoing.fail_unpublished(&error);
            }
            tokio::time::sleep(backoff.next()).await;
        } else {
            backoff.reset();
        }
    }
}

/// Waits while the bus is not there. Requests wait with it only as long as the relay may be about to join.
async fn wait_offline(outgoing: &Outgoing, presence: &Presence) {
    match presence.bus_error() {
        Some(error) => {
            outgoing.fail_unpublished(&error);
            tokio::select! {
                () = presence.online() => {}
                () = outgoing.outbox().changed() => {}
            }
        }
        None => {
            tokio::select! {
                () = presence.decided() => {}
                () = outgoing.outbox().changed() => {}
            }
        }
    }
}

/// Waits for a message, or until messages that are held back are due.
async fn wait(outgoing: &Outgoing, due: Option<Duration>) {
    match due {
        None => outgoing.outbox().changed().await,
        Some(due) => {
            tokio::select! {
                () = outgoing.outbox().changed() => {}
                () = tokio::time::sleep(due) => {}
            }
        }
    }
}

/// Publishes the batch once, concludes the messages that the bus has decided on, and returns the rest to the outbox.
async fn publish_once(outgoing: &Outgoing, batch: &mut Batch) -> Result<(), bus::Error> {
    let outcome = outgoing.publish(&batch.messages).await;
    let verdicts = match &outcome {
        Ok(verdicts) => verdicts.as_slice(),
        Err(error) => {
            let attempted = !is_unsent(error);
            batch.waiting.iter_mut().for_each(|waiting| waiting.attempted |= attempted);
            &[]
        }
    };
    assert!(verdicts.len() <= batch.messages.len(), "the bus returned more verdicts than it was given messages");
    for ((message, waiting), verdict) in batch.messages.iter().zip(&batch.waiting).zip(verdicts) {
        if waiting.fails_if_busy() || !matches!(verdict, Verdict::Busy { .. }) {
            outgoing.conclude(message, waiting.since, verdict);
        }
    }
    outgoing.outbox().settle(batch, verdicts);
    outcome.map(drop)
}

/// Returns true if a call that failed with `error` has published nothing.
fn is_unsent(error: &bus::Error) -> bool {
    matches!(
        error,
        bus::Error::Away(ClientError::Connect { .. } | ClientError::Url { .. })
            | bus::Error::NotConnected { .. }
            | bus::Error::Unregistered { .. }
    )
}
