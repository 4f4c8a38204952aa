//! Attempts to deliver one message, and the waits between them.

use std::time::{Duration, Instant};

use super::rules::{Next, Schedule};
use crate::http::Backoff;

/// Retry state of one message.
pub(super) struct Attempts {
    pub(super) schedule: Schedule,
    pub(super) backoff: Backoff,
}

/// Failed attempt that may be retried.
pub(super) struct Failure {
    pub(super) cause: String,
    /// Wait requested by the service or the bus.
    pub(super) retry_after: Option<Duration>,
    /// True if the deadline left the call less time than its own timeout, which makes `cause` uninformative.
    pub(super) cut_short: bool,
}

impl Attempts {
    pub(super) fn new(schedule: Schedule, wait_max: Duration) -> Self {
        Self { schedule, backoff: Backoff::new(wait_max) }
    }

    /// Waits before the next attempt. Returns `None` at once if that would be too late.
    pub(super) async fn wait(&mut self, failure: &Failure) -> Option<()> {
        let backoff = self.backoff.next();
        match self.schedule.next(Instant::now(), backoff, failure.retry_after) {
            Next::GiveUp => None,
            Next::Wait(wait) => {
                tokio::time::sleep(wait).await;
                Some(())
            }
        }
    }
}
