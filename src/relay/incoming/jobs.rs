//! Messages that run in a handler or wait for one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::oneshot;

use super::outcome::{Outcome, RETRY_AFTER, Refused};
use super::rules::{Entry, Gate};
use crate::memory::Share;
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

/// Jobs that run or wait, bounded by `handlers_concurrent_max`, `inbox_messages_max` and `inbox_bytes_max`.
pub(super) struct Jobs<H> {
    state: Mutex<State<H>>,
    closed: AtomicBool,
}

struct State<H> {
    gate: Gate<Job<H>>,
    /// Of the messages of all jobs.
    bytes: Share,
}

impl<H> Jobs<H> {
    pub(super) fn new(running_max: usize, jobs_max: usize, bytes: Share) -> Self {
        let state = State { gate: Gate::new(running_max, jobs_max), bytes };
        Self { state: Mutex::new(state), closed: AtomicBool::new(false) }
    }

    /// Adds a job. Returns it if the caller has to run it now; otherwise [`Jobs::finish`] will return it.
    /// Errors: [`Refused::Busy`], [`Refused::Closing`].
    pub(super) fn enter(&self, job: Job<H>) -> Result<Option<Job<H>>, Refused> {
        let mut state = lock(&self.state);
        // Under the lock that `close` takes too: a job that enters is one that closing waits for.
        if self.is_closed() {
            return Err(Refused::Closing { retry_after: RETRY_AFTER });
        }
        let bytes = job.message.memory_bytes();
        let entered = match state.bytes.check(bytes) {
            Ok(()) => state.gate.enter(job),
            Err(_) => Entry::Full,
        };
        let entered = match entered {
            Entry::Run(job) => Some(job),
            Entry::Waiting => None,
            Entry::Full => return Err(Refused::Busy { retry_after: RETRY_AFTER }),
        };
        state.bytes.add(bytes);
        Ok(entered)
    }

    /// Ends a job that has run with a message of `bytes`. Returns the next one, if any waits, for the caller to run.
    pub(super) fn finish(&self, bytes: usize) -> Option<Job<H>> {
        let mut state = lock(&self.state);
        state.bytes.remove(bytes);
        state.gate.leave()
    }

    /// Removes the jobs that wait.
    pub(super) fn take_waiting(&self) -> Vec<Job<H>> {
        let mut state = lock(&self.state);
        let jobs = state.gate.take_waiting();
        jobs.iter().for_each(|job| state.bytes.remove(job.message.memory_bytes()));
        jobs
    }

    /// Number of jobs that run or wait.
    pub(super) fn len(&self) -> usize {
        lock(&self.state).gate.len()
    }

    /// Refuses jobs from now on.
    pub(super) fn close(&self) {
        let _state = lock(&self.state);
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}
