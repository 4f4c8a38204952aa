//! Admission control for calls to the service: a concurrency limit and a circuit breaker.

use std::pin::pin;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::timeout_at;

use super::rules::{Admission, Breaker, Call, Change, Health, Hold, Limits, Outcome};
use crate::sync::lock;

/// Concurrency limit and circuit breaker of one service.
pub(super) struct Gate {
    permits: Semaphore,
    concurrent_max: usize,
    state: Mutex<State>,
    /// Notified on every change of the breaker.
    changed: Notify,
}

struct State {
    breaker: Breaker,
    /// Reason why the breaker last opened.
    cause: String,
    /// Number of calls that run.
    running: usize,
    /// Time of the last answer, or at which a call began while no other ran.
    answered: Instant,
    /// Number of calls that were answered so far.
    answers: u64,
    /// Reason why the service counts as away although calls are not paused.
    absence: Option<String>,
    /// True if the breaker opened because of a call without an answer.
    opened_by_silence: bool,
}

/// State of the calls at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pulse {
    /// True if the last call failed, or calls are restricted.
    pub(super) is_failing: bool,
    /// True while calls are paused.
    pub(super) is_held: bool,
    /// Time for which calls have run without an answer to any.
    pub(super) silence: Duration,
    /// Number of calls that were answered so far.
    pub(super) answers: u64,
}

/// Permission to make one call now. Holds a concurrency permit until [`CallPermit::finish`]; a permit dropped without
/// that counts as an abandoned call.
pub(super) struct CallPermit<'a> {
    gate: &'a Gate,
    call: Call,
    finished: bool,
    _permit: SemaphorePermit<'a>,
}

impl Gate {
    pub(super) fn new(concurrent_max: usize, limits: Limits) -> Self {
        let concurrent_max = concurrent_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            permits: Semaphore::new(concurrent_max),
            concurrent_max,
            state: Mutex::new(State {
                breaker: Breaker::new(limits),
                cause: String::new(),
                running: 0,
                answered: Instant::now(),
                answers: 0,
                absence: None,
                opened_by_silence: false,
            }),
            changed: Notify::new(),
        }
    }

    /// Waits for a concurrency permit and for the breaker. Callers waiting for the breaker hold no permit.
    /// Errors: a description of what it was waiting for at `deadline`. Cancel-safe.
    pub(super) async fn acquire(&self, deadline: Instant) -> Result<CallPermit<'_>, String> {
        loop {
            let permit = self.permit(deadline).await?;
            let admission = lock(&self.state).admit(Instant::now());
            match admission {
                Admission::Go(call) => return Ok(CallPermit { gate: self, call, finished: false, _permit: permit }),
                Admission::Held(_) => drop(permit),
            }
            self.wait_for_breaker(deadline).await?;
        }
    }

    /// Returns why calls are paused at the moment, or `None` if they are not.
    pub(super) fn trouble(&self) -> Option<String> {
        let state = lock(&self.state);
        state.absence.clone().or_else(|| state.breaker.hold(Instant::now()).map(|_| state.cause.clone()))
    }

    /// Returns the state of the calls.
    pub(super) fn pulse(&self) -> Pulse {
        let (state, now) = (lock(&self.state), Instant::now());
        let silence = if state.running == 0 { Duration::ZERO } else { now.saturating_duration_since(state.answered) };
        Pulse {
            is_failing: state.breaker.is_failing(),
            is_held: state.breaker.hold(now).is_some(),
            silence,
            answers: state.answers,
        }
    }

    /// Records why the service counts as away, or that it does not.
    pub(super) fn set_absence(&self, absence: Option<String>) {
        lock(&self.state).absence = absence;
    }

    /// Returns true, once, if the breaker has opened because of a call without an answer.
    pub(super) fn take_silence(&self) -> bool {
        std::mem::take(&mut lock(&self.state).opened_by_silence)
    }

    /// Lets the next call through, since the service was seen to answer again.
    pub(super) fn probe_now(&self) {
        if lock(&self.state).breaker.probe_now(Instant::now()) {
            self.changed.notify_waiters();
        }
    }

    async fn permit(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, String> {
        if let Ok(permit) = self.permits.try_acquire() {
            return Ok(permit);
        }
        match timeout_at(deadline.into(), self.permits.acquire()).await {
            Ok(permit) => Ok(permit.expect("the semaphore is never closed")),
            Err(_) => Err(format!("the service is busy with {} calls (webhook.concurrent_max)", self.concurrent_max)),
        }
    }

    /// Waits until the breaker may admit a call.
    async fn wait_for_breaker(&self, deadline: Instant) -> Result<(), String> {
        let mut changed = pin!(self.changed.notified());
        // Registered before the breaker is read, so that no change is missed in between.
        changed.as_mut().enable();
        let (hold, cause) = {
            let state = lock(&self.state);
            (state.breaker.hold(Instant::now()), state.cause.clone())
        };
        let until = match hold {
            None => return Ok(()),
            Some(Hold::Until(until)) => until.min(deadline),
            Some(Hold::Probing) => deadline,
        };
        match timeout_at(until.into(), changed).await {
            Err(_) if until == deadline => Err(format!("calls to the service are paused: {cause}")),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl State {
    fn admit(&mut self, now: Instant) -> Admission {
        let admission = self.breaker.admit(now);
        if let Admission::Go(_) = admission {
            if self.running == 0 {
                self.answered = now;
            }
            self.running += 1;
        }
        admission
    }
}

impl CallPermit<'_> {
    /// Releases the permit and reports the call's result to the breaker. `cause` is recorded if the breaker opens.
    pub(super) fn finish(mut self, outcome: Outcome, cause: &str) -> Option<Change> {
        self.finished = true;
        let health = outcome.health();
        let change = {
            let (mut state, now) = (lock(&self.gate.state), Instant::now());
            state.running -= 1;
            if health == Health::Alive {
                state.answered = now;
                state.answers += 1;
            }
            let change = state.breaker.ended(self.call, health, now);
            if let Some(Change::Opened(_)) = change {
                state.opened_by_silence = outcome == Outcome::Silence;
            }
            match change {
                Some(Change::Opened(_) | Change::Reopened(_)) => cause.clone_into(&mut state.cause),
                Some(Change::Closed) | None => {}
            }
            change
        };
        if change.is_some() {
            self.gate.changed.notify_waiters();
        }
        change
    }
}

impl Drop for CallPermit<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let change = {
            let mut state = lock(&self.gate.state);
            state.running -= 1;
            state.breaker.abandoned(self.call, Instant::now())
        };
        if change.is_some() {
            tracing::warn!("a probe of the service was cancelled, another one will follow");
            self.gate.changed.notify_waiters();
        }
    }
}

/// Returns the length of the pause that `change` starts, or `None` if it ends one.
pub(super) fn pause(change: Change) -> Option<Duration> {
    match change {
        Change::Opened(wait) | Change::Reopened(wait) => Some(wait),
        Change::Closed => None,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn gate(concurrent_max: usize) -> Gate {
        let open = Duration::from_millis(20);
        Gate::new(concurrent_max, Limits { failures: 1, open, open_max: open })
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    fn late() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    async fn check_refused(gate: &Gate, expected: &str) {
        let refused = gate.acquire(soon()).await.map(drop).unwrap_err();
        assert!(refused.contains(expected), "{refused}");
    }

    #[tokio::test]
    async fn concurrent_calls_are_limited_and_permits_released() {
        let gate = gate(2);
        let first = gate.acquire(late()).await.unwrap();
        let second = gate.acquire(late()).await.unwrap();
        check_refused(&gate, "the service is busy with 2 calls").await;
        assert_eq!(first.finish(Outcome::Status(200), ""), None);
        drop(second);
        assert!(gate.acquire(late()).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_caller_waiting_for_the_breaker_holds_no_permit() {
        let gate = gate(1);
        assert!(gate.acquire(late()).await.unwrap().finish(Outcome::Silence, "it is down").is_some());
        assert_eq!(gate.trouble().as_deref(), Some("it is down"));
        let waiting = gate.acquire(late());
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(gate.permits.available_permits(), 1);
        let probe = waiting.await.unwrap();
        assert_eq!(probe.call, Call::Probe);
    }

    #[tokio::test]
    async fn an_abandoned_probe_is_replaced() {
        let gate = gate(2);
        assert!(gate.acquire(late()).await.unwrap().finish(Outcome::Silence, "it is down").is_some());
        let probe = gate.acquire(late()).await.unwrap();
        check_refused(&gate, "calls to the service are paused: it is down").await;
        drop(probe);
        let probe = gate.acquire(late()).await.unwrap();
        let (next, change) = tokio::join!(gate.acquire(late()), async { probe.finish(Outcome::Status(200), "") });
        assert_eq!(change, Some(Change::Closed));
        assert_eq!(next.unwrap().call, Call::Ordinary);
        assert_eq!(gate.trouble(), None);
    }
}
