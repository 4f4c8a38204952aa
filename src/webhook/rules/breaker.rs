//! The breaker: stops calling a service that fails, and probes it until it answers again.

use std::time::{Duration, Instant};

/// When the breaker opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Failures in a row that open it; 0 for never.
    pub(crate) failures: u32,
    /// How long it stays open before the first probe. Each failed probe doubles it.
    pub(crate) open: Duration,
    /// How long it stays open before any probe at most.
    pub(crate) open_max: Duration,
}

/// How a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// It answers.
    Alive,
    /// It does not answer, or only with errors of its own.
    Failing,
}

/// Which kind of call was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// One of many.
    Ordinary,
    /// The only one while the breaker is half-open; its end decides.
    Probe,
}

/// Whether a call may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Now.
    Go(Call),
    /// Not now.
    Held(Hold),
}

/// How long calls are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Until this moment, or the next change.
    Until(Instant),
    /// Until the next change, which the running probe will bring.
    Probing,
}

/// What a call's end changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Calls are held back from now on, for so long.
    Opened(Duration),
    /// The probe failed or went away; calls are held back for so long again.
    Reopened(Duration),
    /// Calls go as usual again.
    Closed,
}

/// Closed as long as the service answers; open after too many failures in a row; half-open while one probe runs.
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
    /// A closed one.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: State::Closed { failures: 0 } }
    }

    /// Asks for a call. Whoever is told [`Admission::Go`] must tell the end of it.
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

    /// How long calls are held back; `None` if one may go. `None` as soon as a probe may go, so that whoever waits for
    /// this before sending anything does not wait for ever.
    pub(crate) fn hold(&self, now: Instant) -> Option<Hold> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until, .. } => (now < until).then_some(Hold::Until(until)),
            State::HalfOpen { .. } => Some(Hold::Probing),
        }
    }

    /// Tells how a call ended. Once the breaker is open, only its probe counts: what was under way before says nothing
    /// new.
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

    /// Tells that a call went away without an end. A lost probe is replaced after the same wait.
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

    /// One step of a story: what happens, and what must follow.
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

    fn check(limits: Limits, story: impl IntoIterator<Item = Step>) {
        let start = Instant::now();
        let (mut breaker, mut now) = (Breaker::new(limits), start);
        for (number, step) in story.into_iter().enumerate() {
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
    fn failures_in_a_row_open_it() {
        let opening = [Failing(Ordinary, None), Failing(Ordinary, None), Failing(Ordinary, opened(2))];
        check(LIMITS, opening.into_iter().chain([Ask(Admit::Until(2)), Pass(1), Ask(Admit::Until(2))]));
    }

    #[test]
    fn an_answer_between_failures_keeps_it_closed() {
        let pair = || [Failing(Ordinary, None), Failing(Ordinary, None), Alive(Ordinary, None)];
        check(LIMITS, pair().into_iter().chain(pair()).chain([Ask(Admit::Go(Ordinary))]));
    }

    #[test]
    fn one_probe_goes_and_its_success_closes_it() {
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
