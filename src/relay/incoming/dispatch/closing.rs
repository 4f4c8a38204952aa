//! The end of the incoming half: nothing that was accepted vanishes.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{CLOSED, Incoming, closed};
use crate::message::Message;
use crate::relay::incoming::Outcome;

/// Time for handlers to end when they are abandoned, and the part of it that they have also after the deadline.
const ABANDONING: Duration = Duration::from_millis(100);
const ABANDONING_MIN: Duration = Duration::from_millis(20);

impl<H: Clone> Incoming<H> {
    /// Gives the messages back that no handler and no subscriber has: for a relay that is closed and does not wait for them.
    /// A message that nobody takes until `deadline` becomes a dead letter, and its requester is notified. Returns the number
    /// of dead letters. Not cancel-safe.
    pub(in crate::relay) async fn return_waiting(&self, deadline: Instant) -> usize {
        let (mut kept, mut in_time) = (0, true);
        let jobs = self.jobs.take_waiting().into_iter().map(|job| (job.message, job.done));
        let queued = self.subscribers.take_unleased().into_iter().map(|message| (message, None));
        for (message, done) in jobs.chain(queued) {
            // A caller that waits for the outcome has the message still.
            if in_time && done.is_none() {
                match timeout_at(deadline, self.give_back(&message)).await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(_) => in_time = false,
                }
            }
            self.failures.report(&message, &closed());
            if let Some(done) = done {
                // The caller may have gone away.
                drop(done.send(Err(closed())));
            }
            kept += 1;
        }
        kept
    }

    /// Ends the requests in handlers, and notifies the requesters; gives other messages in handlers back: for a relay that is
    /// closed and has no more time. Returns the number of the requests. Unanswered requests of subscribers are notified too.
    /// Handlers that have not ended by `deadline` are left.
    pub(in crate::relay) async fn abandon(&self, deadline: Instant) -> usize {
        let abandoned = self.requests_running.load(Ordering::Acquire);
        self.abandoned.cancel();
        for message in self.subscribers.requests() {
            self.failures.notify_requester(&message, CLOSED);
        }
        let ended = async {
            while self.requests_running.load(Ordering::Acquire) + self.others_running.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let now = Instant::now();
        if timeout_at(deadline.clamp(now + ABANDONING_MIN, now + ABANDONING), ended).await.is_err() {
            tracing::warn!("handlers did not end");
        }
        abandoned
    }

    /// Waits for the handler of a message that nobody waits for. When the relay is closed and has no more time the message is
    /// given back, which ends the handler; if nobody else can have it, the handler goes on.
    pub(super) async fn unless_given_back(&self, message: &Message, running: impl Future<Output = Outcome>) -> Outcome {
        let mut running = pin!(running);
        self.others_running.fetch_add(1, Ordering::AcqRel);
        let outcome = tokio::select! {
            // First, so that a handler that is done at once costs no wait for the other.
            biased;
            outcome = &mut running => Some(outcome),
            () = self.abandoned.cancelled() => self.give_back(message).await.then_some(Ok(())),
        };
        self.others_running.fetch_sub(1, Ordering::AcqRel);
        match outcome {
            Some(outcome) => outcome,
            None => running.await,
        }
    }
}
