//! The way to the service: a bounded number of calls at once, none while the breaker holds them back.

use std::pin::pin;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::timeout_at;

use super::rules::{Admission, Breaker, Call, Change, Health, Hold, Limits};
use crate::sync::lock;

/// One service's places and its breaker.
pub(super) struct Way {
    places: Semaphore,
    places_max: usize,
    state: Mutex<State>,
    /// Told at every change of the breaker.
    changed: Notify,
}

struct State {
    breaker: Breaker,
    /// Why the breaker opened last.
    cause: String,
}

/// A call that may be made now. It takes a place until its end is told; dropped without that, it counts as gone away.
pub(super) struct Pass<'a> {
    way: &'a Way,
    call: Call,
    ended: bool,
    _place: SemaphorePermit<'a>,
}

impl Way {
    pub(super) fn new(concurrent_max: usize, limits: Limits) -> Self {
        let places_max = concurrent_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Semaphore::new(places_max),
            places_max,
            state: Mutex::new(State { breaker: Breaker::new(limits), cause: String::new() }),
            changed: Notify::new(),
        }
    }

    /// Waits for a place and for the breaker. While the breaker holds calls back, nobody who waits has a place.
    /// Errors: what was waited for when `deadline` came. Cancel-safe.
    pub(super) async fn enter(&self, deadline: Instant) -> Result<Pass<'_>, String> {
        loop {
            let place = self.place(deadline).await?;
            let admission = lock(&self.state).breaker.admit(Instant::now());
            match admission {
                Admission::Go(call) => return Ok(Pass { way: self, call, ended: false, _place: place }),
                Admission::Held(_) => drop(place),
            }
            self.held(deadline).await?;
        }
    }

    /// Why calls are held back at this moment, if they are.
    pub(super) fn trouble(&self) -> Option<String> {
        let state = lock(&self.state);
        state.breaker.hold(Instant::now()).map(|_| state.cause.clone())
    }

    async fn place(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, String> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        match timeout_at(deadline.into(), self.places.acquire()).await {
            Ok(place) => Ok(place.expect("the semaphore is never closed")),
            Err(_) => Err(format!("all {} calls to the service are taken", self.places_max)),
        }
    }

    /// Waits until a call may go, or it is worth asking again.
    async fn held(&self, deadline: Instant) -> Result<(), String> {
        let mut changed = pin!(self.changed.notified());
        // From here on no change is missed, so the breaker is asked after this.
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
            Err(_) if until == deadline => Err(format!("calls to the service were held back: {cause}")),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Pass<'_> {
    /// Frees the place and tells the breaker how the call ended; `cause` says why, should it open for it.
    pub(super) fn end(mut self, health: Health, cause: &str) -> Option<Change> {
        self.ended = true;
        let change = {
            let mut state = lock(&self.way.state);
            let change = state.breaker.ended(self.call, health, Instant::now());
            match change {
                Some(Change::Opened(_) | Change::Reopened(_)) => cause.clone_into(&mut state.cause),
                Some(Change::Closed) | None => {}
            }
            change
        };
        if change.is_some() {
            self.way.changed.notify_waiters();
        }
        change
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let change = lock(&self.way.state).breaker.abandoned(self.call, Instant::now());
        if change.is_some() {
            tracing::warn!("a probe of the service went away without an end, another one will follow");
            self.way.changed.notify_waiters();
        }
    }
}

/// How a change of the breaker is told: calls are held back for so long, or go again.
pub(super) fn held_back(change: Change) -> Option<Duration> {
    match change {
        Change::Opened(wait) | Change::Reopened(wait) => Some(wait),
        Change::Closed => None,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn way(concurrent_max: usize) -> Way {
        let open = Duration::from_millis(20);
        Way::new(concurrent_max, Limits { failures: 1, open, open_max: open })
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    fn late() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    async fn check_refused(way: &Way, expected: &str) {
        let refused = way.enter(soon()).await.map(drop).unwrap_err();
        assert!(refused.contains(expected), "{refused}");
    }

    #[tokio::test]
    async fn places_are_bounded_and_freed() {
        let way = way(2);
        let first = way.enter(late()).await.unwrap();
        let second = way.enter(late()).await.unwrap();
        check_refused(&way, "all 2 calls to the service are taken").await;
        assert_eq!(first.end(Health::Alive, ""), None);
        drop(second);
        assert!(way.enter(late()).now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_waits_for_the_breaker_holds_no_place() {
        let way = way(1);
        assert!(way.enter(late()).await.unwrap().end(Health::Failing, "it is down").is_some());
        assert_eq!(way.trouble().as_deref(), Some("it is down"));
        let waiting = way.enter(late());
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(way.places.available_permits(), 1);
        let probe = waiting.await.unwrap();
        assert_eq!(probe.call, Call::Probe);
    }

    #[tokio::test]
    async fn a_lost_probe_does_not_hold_others_back_for_ever() {
        let way = way(2);
        assert!(way.enter(late()).await.unwrap().end(Health::Failing, "it is down").is_some());
        let probe = way.enter(late()).await.unwrap();
        check_refused(&way, "calls to the service were held back: it is down").await;
        drop(probe);
        let probe = way.enter(late()).await.unwrap();
        let (next, change) = tokio::join!(way.enter(late()), async { probe.end(Health::Alive, "") });
        assert_eq!(change, Some(Change::Closed));
        assert_eq!(next.unwrap().call, Call::Ordinary);
        assert_eq!(way.trouble(), None);
    }
}
