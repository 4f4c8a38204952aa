//! Circuit breaker: stops calls to a failing service and probes it until it answers again.

use std::time::{Duration, Instant};

/// Thresholds of the breaker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Consecutive failures that open the breaker; 0 disables it.
    pub(crate) failures: u32,
    /// Open time before the first probe. Each failed probe doubles it.
    pub(crate) open: Duration,
    /// Maximum open time before a probe.
    pub(crate) open_max: Duration,
}

/// State of a service, as one call shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// The service answers.
    Alive,
    /// The service does not answer, or a gateway says that it is down.
    Failing,
}

/// Kind of an admitted call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// A call while the breaker is closed.
    Ordinary,
    /// The only call while the breaker is half-open; its result decides.
    Probe,
}

/// Decision about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The call may start now.
    Go(Call),
    /// The call has to wait.
    Held(Hold),
}

/// Duration of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Until this instant, or the next change.
    Until(Instant),
    /// Until the running probe finishes.
    Probing,
}

/// State change caused by the result of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Calls are paused for this long.
    Opened(Duration),
    /// The probe failed or was abandoned; calls are paused again for this long.
    Reopened(Duration),
    /// Calls resume.
    Closed,
}

/// Circuit breaker: closed while the service answers, open after too many consecutive failures, half-open while a probe
/// runs.
#[derive(Debug)]
pub(crate) struct Breaker {
    limits: Limits,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, wait: Duration },
    HalfOpen { wait: Duration },
}

impl Breaker {
    /// Creates a closed breaker.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: State::Closed { failures: 0 } }
    }

    /// Decides about a call. After [`Admission::Go`] the caller must report its end with [`Self::ended`] or
    /// [`Self::abandoned`].
    pub(crate) fn admit(&mut self, now: Instant) -> Admission {
        if let Some(hold) = self.hold(now) {
            return Admission::Held(hold);
        }
        match self.state {
            State::Closed { .. } => Admission::Go(Call::Ordinary),
            State::Open { wait, .. } | State::HalfOpen { wait } => {
                self.state = State::HalfOpen { wait };
                Admission::Go(Call::Probe)
            }
        }
    }

    /// Returns the current hold, or `None` if a call may start. Also `None` as soon as a probe is due: a caller that waits
    /// for `None` before it sends anything would otherwise wait forever.
    pub(crate) fn hold(&self, now: Instant) -> Option<Hold> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until, .. } => (now < until).then_some(Hold::Until(until)),
            State::HalfOpen { .. } => Some(Hold::Probing),
        }
    }

    /// Returns true if the last call failed, or calls are restricted.
    pub(crate) fn is_failing(&self) -> bool {
        !matches!(self.state, State::Closed { failures: 0 })
    }

    /// Ends the wait for a probe: the service was seen to answer again. Returns true if there was one.
    pub(crate) fn probe_now(&mut self, now: Instant) -> bool {
        match &mut self.state {
            State::Open { until, .. } if *until > now => {
                *until = now;
                true
            }
            State::Open { .. } | State::Closed { .. } | State::HalfOpen { .. } => false,
        }
    }

    /// Records the result of a call. Once the breaker is open only the probe counts; calls that started earlier carry no
    /// new information.
    pub(crate) fn ended(&mut self, call: Call, health: Health, now: Instant) -> Option<Change> {
        match (self.state, call, health) {
            (State::Closed { .. }, _, Health::Alive) => {
                self.state = State::Closed { failures: 0 };
                None
            }
            (State::Closed { failures }, _, Health::Failing) => {
                let failures = failures.saturating_add(1);
                self.state = State::Closed { failures };
                let full = self.limits.failures > 0 && failures >= self.limits.failures;
                full.then(|| Change::Opened(self.open(self.limits.open, now)))
            }
            (State::HalfOpen { .. }, Call::Probe, Health::Alive) => {
                self.state = State::Closed { failures: 0 };
                Some(Change::Closed)
            }
            (State::HalfOpen { wait }, Call::Probe, Health::Failing) => {
                Some(Change::Reopened(self.open(wait.saturating_mul(2), now)))
            }
            (State::Open { .. }, ..) | (State::HalfOpen { .. }, Call::Ordinary, _) => None,
        }
    }

    /// Records that a call was dropped without a result. A lost probe is replaced after the same pause.
    pub(crate) fn abandoned(&mut self, call: Call, now: Instant) -> Option<Change> {
        match (self.state, call) {
            (State::HalfOpen { wait }, Call::Probe) => Some(Change::Reopened(self.open(wait, now))),
            (State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. }, _) => None,
        }
    }

    fn open(&mut self, wait: Duration, now: Instant) -> Duration {
        let wait = wait.min(self.limits.open_max.max(self.limits.open));
        self.state = State::Open { until: now + wait, wait };
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { failures: 3, open: Duration::from_secs(2), open_max: Duration::from_secs(5) };

    /// One step of a test: an event and its expected effect.
    enum Step {
        Admit(Admit),
        Alive(Call, Option<Change>),
        Failing(Call, Option<Change>),
        Abandoned(Call, Option<Change>),
        Pass(u64),
    }

    enum Admit {
        Go(Call),
        Until(u64),
        Probing,
    }

    use Call::{Ordinary, Probe};
    use Step::{Abandoned, Admit as Ask, Alive, Failing, Pass};

    fn check(limits: Limits, steps: impl IntoIterator<Item = Step>) {
        let start = Instant::now();
        let (mut breaker, mut now) = (Breaker::new(limits), start);
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Ask(expected) => {
                    let expected = match expected {
                        Admit::Go(call) => Admission::Go(call),
                        Admit::Until(second) => Admission::Held(Hold::Until(start + Duration::from_secs(second))),
                        Admit::Probing => Admission::Held(Hold::Probing),
                    };
                    assert_eq!(breaker.admit(now), expected, "step {number}");
                }
                Alive(call, change) => assert_eq!(breaker.ended(call, Health::Alive, now), change, "step {number}"),
                Failing(call, change) => {
                    assert_eq!(breaker.ended(call, Health::Failing, now), change, "step {number}");
                }
                Abandoned(call, change) => assert_eq!(breaker.abandoned(call, now), change, "step {number}"),
                Pass(seconds) => now += Duration::from_secs(seconds),
            }
        }
    }

    fn opened(seconds: u64) -> Option<Change> {
        Some(Change::Opened(Duration::from_secs(seconds)))
    }

    fn reopened(seconds: u64) -> Option<Change> {
        Some(Change::Reopened(Duration::from_secs(seconds)))
    }

    #[test]
    fn consecutive_failures_open_it() {
        let opening = [Failing(Ordinary, None), Failing(Ordinary, None), Failing(Ordinary, opened(2))];
        check(LIMITS, opening.into_iter().chain([Ask(Admit::Until(2)), Pass(1), Ask(Admit::Until(2))]));
    }

    #[test]
    fn an_answer_between_failures_keeps_it_closed() {
        let pair = || [Failing(Ordinary, None), Failing(Ordinary, None), Alive(Ordinary, None)];
        check(LIMITS, pair().into_iter().chain(pair()).chain([Ask(Admit::Go(Ordinary))]));
    }

    #[test]
    fn a_single_probe_is_admitted_and_its_success_closes_it() {
        check(
            Limits { failures: 1, ..LIMITS },
            [
                Failing(Ordinary, opened(2)),
                Pass(2),
                Ask(Admit::Go(Probe)),
                Ask(Admit::Probing),
                Alive(Probe, Some(Change::Closed)),
                Ask(Admit::Go(Ordinary)),
            ],
        );
    }

    #[test]
    fn a_service_that_answers_again_is_probed_at_once() {
        let (mut breaker, now) = (Breaker::new(Limits { failures: 1, ..LIMITS }), Instant::now());
        assert!(!breaker.probe_now(now) && !breaker.is_failing());
        breaker.ended(Ordinary, Health::Failing, now);
        assert!(breaker.is_failing() && breaker.hold(now).is_some());
        assert!(breaker.probe_now(now) && !breaker.probe_now(now));
        assert_eq!(breaker.admit(now), Admission::Go(Probe));
        assert!(!breaker.probe_now(now), "one probe at a time");
    }

    #[test]
    fn each_failed_probe_doubles_the_wait_up_to_the_cap() {
        check(
            Limits { failures: 1, ..LIMITS },
            [
                Failing(Ordinary, opened(2)),
                Pass(2),
                Ask(Admit::Go(Probe)),
                Failing(Probe, reopened(4)),
                Ask(Admit::Until(6)),
                Pass(4),
                Ask(Admit::Go(Probe)),
                Failing(Probe, reopened(5)),
                Pass(5),
                Ask(Admit::Go(Probe)),
                Alive(Probe, Some(Change::Closed)),
                Failing(Ordinary, opened(2)),
            ],
        );
    }

    #[test]
    fn calls_from_before_it_opened_change_nothing() {
        check(
            Limits { failures: 1, ..LIMITS },
            [
                Failing(Ordinary, opened(2)),
                Alive(Ordinary, None),
                Failing(Ordinary, None),
                Ask(Admit::Until(2)),
                Pass(2),
                Ask(Admit::Go(Probe)),
                Alive(Ordinary, None),
                Failing(Ordinary, None),
                Abandoned(Ordinary, None),
                Ask(Admit::Probing),
            ],
        );
    }

    #[test]
    fn a_lost_probe_is_replaced() {
        check(
            Limits { failures: 1, ..LIMITS },
            [
                Failing(Ordinary, opened(2)),
                Pass(2),
                Ask(Admit::Go(Probe)),
                Abandoned(Probe, reopened(2)),
                Pass(2),
                Ask(Admit::Go(Probe)),
            ],
        );
    }

    #[test]
    fn without_a_limit_it_never_opens() {
        let failing = (0..1_000).map(|_| Failing(Ordinary, None));
        check(Limits { failures: 0, ..LIMITS }, failing.chain([Ask(Admit::Go(Ordinary))]));
    }
}
