//! Does what is due: wakes, retries, leases.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::rules::{Attempt, Outcome};
use super::service::Running;
use crate::streams;
use crate::sync::lock;

/// How long nothing is tried when the writer has no room.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// A call that has ended.
type Ended = (Attempt, Outcome);

impl Running {
    /// Runs until it is stopped. While the streams drain, calls that have begun may end, and no new ones begin: a wake
    /// that was not answered is delivered again by the next process.
    pub(in crate::streams) async fn run(self, stop: CancellationToken, draining: CancellationToken) {
        let mut calls: JoinSet<Ended> = JoinSet::new();
        loop {
            match self.do_what_is_due(&mut calls).await {
                Ok(()) => {}
                Err(Error::Streams(streams::Error::StoreFailed { .. })) => return,
                Err(error) => {
                    tracing::warn!(%error, "subscriptions wait");
                    tokio::time::sleep(BUSY_WAIT).await;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = draining.cancelled() => break,
                () = self.until_due(self.room(&calls)) => {}
                Some(ended) = calls.join_next() => {
                    if let Ok(ended) = ended {
                        self.note(ended).await;
                    }
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.finish(calls) => {}
        }
    }

    /// Waits for the calls that have begun.
    async fn finish(&self, mut calls: JoinSet<Ended>) {
        while let Some(ended) = calls.join_next().await {
            if let Ok(ended) = ended {
                self.note(ended).await;
            }
        }
    }

    /// Takes a turn if something is due, and begins the calls that it asks for.
    async fn do_what_is_due(&self, calls: &mut JoinSet<Ended>) -> Result<(), Error> {
        loop {
            let (room, now_ms) = (self.room(calls), self.writer.clock.now_ms());
            let (due, keys_due) = {
                let mut board = lock(&self.board);
                self.catch_up(&mut board);
                let keys_due = !board.is_empty() && board.keys_due_ms() <= now_ms;
                (board.due_ms(room).is_some_and(|at_ms| at_ms <= now_ms), keys_due)
            };
            if keys_due {
                self.renew_keys().await?;
            }
            if !due {
                return Ok(());
            }
            let turn = self.writer.submit(|ledger, now_ms, changes| {
                let mut board = lock(&self.board);
                self.catch_up(&mut board);
                Ok(board.turn(ledger, (now_ms, dice(), room), changes))
            });
            for attempt in turn.await? {
                let call = self.post.post(attempt.clone(), self.writer.clock.now_ms() / 1000);
                calls.spawn(async move {
                    let outcome = call.await;
                    (attempt, outcome)
                });
            }
        }
    }

    /// Writes down what became of a call. When the writer has no room, it is tried again: what a receiver has done
    /// must not be forgotten for that.
    async fn note(&self, (attempt, outcome): Ended) {
        match &outcome {
            Outcome::Done | Outcome::Accepted => drop(self.webhooks.called.inc()),
            Outcome::Failed { cause } => {
                self.webhooks.failed.inc();
                let (subscription, generation) = (&attempt.wake.id, attempt.wake.generation);
                tracing::warn!(%subscription, generation, cause, "a webhook failed and is tried again");
            }
        }
        loop {
            let written = self.writer.submit(|_, now_ms, changes| {
                let mut board = lock(&self.board);
                self.catch_up(&mut board);
                board.flush(changes);
                board.delivered(&attempt, &outcome, (now_ms, dice()), changes);
                Ok(())
            });
            match written.await {
                Err(streams::Error::Busy { .. }) => tokio::time::sleep(BUSY_WAIT).await,
                Ok(()) | Err(_) => return,
            }
        }
    }

    fn room(&self, calls: &JoinSet<Ended>) -> usize {
        self.deliveries_max.saturating_sub(calls.len())
    }

    /// Until there is something to do, or something was told. Cancel-safe.
    async fn until_due(&self, room: usize) {
        let at_ms = {
            let board = lock(&self.board);
            let keys_ms = (!board.is_empty()).then(|| board.keys_due_ms());
            board.due_ms(room).into_iter().chain(keys_ms).min()
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
            () = self.writer.notices().told() => {}
        }
    }
}

/// From 0 to 1.
fn dice() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}
