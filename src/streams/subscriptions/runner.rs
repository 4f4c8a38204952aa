//! The task that runs what is due: wakes, retries and ends of leases.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::rules::{Attempt, Outcome};
use super::service::SubscriptionService;
use crate::streams;
use crate::sync::lock;

/// Pause after the writer was busy.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// A finished webhook call.
type Finished = (Attempt, Outcome);

impl SubscriptionService {
    /// Runs until stopped. While the streams drain, started calls may finish and no new ones start: the next process
    /// delivers an unanswered wake again.
    pub(in crate::streams) async fn run(self, stop: CancellationToken, draining: CancellationToken) {
        let mut calls: JoinSet<Finished> = JoinSet::new();
        loop {
            match self.run_due(&mut calls).await {
                Ok(()) => {}
                Err(Error::Streams(streams::Error::StoreFailed { .. })) => return,
                Err(error) => {
                    tracing::warn!(%error, "subscriptions cannot be processed now; retrying");
                    tokio::time::sleep(BUSY_WAIT).await;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = draining.cancelled() => break,
                () = self.wait_until_due(self.capacity(&calls)) => {}
                Some(finished) = calls.join_next() => {
                    if let Ok(finished) = finished {
                        self.record(finished).await;
                    }
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.finish(calls) => {}
        }
    }

    /// Waits for started calls and records their outcomes.
    async fn finish(&self, mut calls: JoinSet<Finished>) {
        while let Some(finished) = calls.join_next().await {
            if let Ok(finished) = finished {
                self.record(finished).await;
            }
        }
    }

    /// Runs everything that is due, and starts the resulting calls.
    async fn run_due(&self, calls: &mut JoinSet<Finished>) -> Result<(), Error> {
        loop {
            let (capacity, now_ms) = (self.capacity(calls), self.writer.clock.now_ms());
            let (due, keys_due) = {
                let set = lock(&self.set);
                let keys_due = !set.is_empty() && set.keys.rotation_due_ms() <= now_ms;
                (set.due_ms(capacity).is_some_and(|at_ms| at_ms <= now_ms), keys_due)
            };
            if keys_due {
                self.rotate_keys().await?;
            }
            if !due {
                return Ok(());
            }
            let attempts = self.writer.submit(|ledger, now_ms, changes| {
                let mut set = lock(&self.set);
                Ok(set.run_due(ledger, (now_ms, random(), capacity), changes))
            });
            for attempt in attempts.await? {
                let call = self.webhook_client.deliver(attempt.clone(), self.writer.clock.now_ms() / 1000);
                let duration = self.webhooks.duration.clone();
                calls.spawn(async move {
                    let began = Instant::now();
                    let outcome = call.await;
                    duration.observe(began.elapsed());
                    (attempt, outcome)
                });
            }
        }
    }

    /// Commits the outcome of a call, and retries while the writer is busy: losing it would wake the receiver again.
    async fn record(&self, (attempt, outcome): Finished) {
        match &outcome {
            Outcome::Done | Outcome::Accepted => drop(self.webhooks.called.inc()),
            Outcome::Failed { cause } => {
                self.webhooks.failed.inc();
                let (subscription, generation) = (&attempt.wake.id, attempt.wake.generation);
                tracing::warn!(%subscription, generation, cause, "webhook failed; retrying");
            }
        }
        loop {
            let written = self.writer.submit(|ledger, now_ms, changes| {
                let mut set = lock(&self.set);
                set.flush(changes);
                set.record_outcome(ledger, &attempt, &outcome, (now_ms, random()), changes);
                Ok(())
            });
            match written.await {
                Err(streams::Error::Busy { .. }) => tokio::time::sleep(BUSY_WAIT).await,
                Ok(()) | Err(_) => return,
            }
        }
    }

    fn capacity(&self, calls: &JoinSet<Finished>) -> usize {
        self.deliveries_max.saturating_sub(calls.len())
    }

    /// Waits until something is due or a decision makes something due. Cancel-safe.
    async fn wait_until_due(&self, capacity: usize) {
        let at_ms = {
            let set = lock(&self.set);
            let keys_ms = (!set.is_empty()).then(|| set.keys.rotation_due_ms());
            set.due_ms(capacity).into_iter().chain(keys_ms).min()
        };
        let due = async {
            match at_ms {
                Some(at_ms) => {
                    let wait_ms = at_ms.saturating_sub(self.writer.clock.now_ms());
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = self.observer.changed() => {}
        }
    }
}

/// Returns a random number in 0..=1.
fn random() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}
