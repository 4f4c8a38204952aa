//! The end of the incoming half: nothing that was accepted vanishes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::{CLOSED, Incoming};

/// Time for handlers of requests to end when they are abandoned.
const ABANDONING: Duration = Duration::from_millis(100);

impl<H: Clone> Incoming<H> {
    /// Gives the messages back that no handler and no subscriber has: for a relay that is closed and does not wait for them.
    /// What is not given back until `deadline` becomes a dead letter, and its requester is notified. Returns the number of
    /// these. Not cancel-safe.
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
            self.failures.report(&message, CLOSED);
            if let Some(done) = done {
                // The caller may have gone away.
                drop(done.send(Err(CLOSED.into())));
            }
            kept += 1;
        }
        kept
    }

    /// Ends the requests in handlers, and notifies the requesters: for a relay that is closed and has no more time. Returns
    /// their number. Unanswered requests of subscribers are notified too.
    pub(in crate::relay) async fn abandon(&self) -> usize {
        let abandoned = self.requests_running.load(Ordering::Acquire);
        self.abandoned.cancel();
        for message in self.subscribers.requests() {
            self.failures.notify_requester(&message, CLOSED);
        }
        let ended = async {
            while self.requests_running.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if timeout(ABANDONING, ended).await.is_err() {
            tracing::warn!("handlers of requests did not end");
        }
        abandoned
    }
}
