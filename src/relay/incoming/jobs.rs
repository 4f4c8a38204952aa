//! Messages that run in a handler or wait for one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::oneshot;

use super::outcome::{Outcome, RETRY_AFTER, Refused};
use super::rules::{Entry, Gate};
use crate::message::Message;
use crate::sync::lock;

/// A message with the handler that it goes to.
pub(in crate::relay) struct Job<H> {
    pub(super) message: Message,
    /// Time at which it was accepted.
    pub(super) accepted: Instant,
    pub(super) handler: H,
    /// Receives the outcome, if a caller waits for it.
    pub(super) done: Option<oneshot::Sender<Outcome>>,
}

/// Jobs that run or wait, bounded by `handlers_concurrent_max` and `inbox_messages_max`.
pub(super) struct Jobs<H> {
    gate: Mutex<Gate<Job<H>>>,
    closed: AtomicBool,
}

impl<H> Jobs<H> {
    pub(super) fn new(running_max: usize, jobs_max: usize) -> Self {
        Self { gate: Mutex::new(Gate::new(running_max, jobs_max)), closed: AtomicBool::new(false) }
    }

    /// Adds a job. Returns it if the caller has to run it now; otherwise [`Jobs::finish`] will return it.
    /// Errors: [`Refused::Busy`], [`Refused::Closing`].
    pub(super) fn enter(&self, job: Job<H>) -> Result<Option<Job<H>>, Refused> {
        let mut gate = lock(&self.gate);
        // Under the lock that `close` takes too: a job that enters is one that closing waits for.
        if self.is_closed() {
            return Err(Refused::Closing { retry_after: RETRY_AFTER });
        }
        match gate.enter(job) {
            Entry::Run(job) => Ok(Some(job)),
            Entry::Waiting => Ok(None),
            Entry::Full => Err(Refused::Busy { retry_after: RETRY_AFTER }),
        }
    }

    /// Ends a job that has run. Returns the next one, if any waits, for the caller to run.
    pub(super) fn finish(&self) -> Option<Job<H>> {
        lock(&self.gate).leave()
    }

    /// Removes the jobs that wait.
    pub(super) fn take_waiting(&self) -> Vec<Job<H>> {
        lock(&self.gate).take_waiting()
    }

    /// Number of jobs that run or wait.
    pub(super) fn len(&self) -> usize {
        lock(&self.gate).len()
    }

    /// Refuses jobs from now on.
    pub(super) fn close(&self) {
        let _gate = lock(&self.gate);
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}
