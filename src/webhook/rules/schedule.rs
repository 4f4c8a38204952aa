//! How long a message is tried, and when next.

use std::time::{Duration, Instant};

/// The tries of one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    started: Instant,
    deadline: Instant,
    tries: u32,
}

/// What to do after a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try again after this wait.
    Wait(Duration),
    /// The next try would come after the deadline.
    GiveUp,
}

impl Schedule {
    /// A message that is tried from `now` until `limit` later.
    pub(crate) fn new(now: Instant, limit: Duration) -> Self {
        // A limit that no clock reaches is a day beyond which nobody will look.
        let deadline = now.checked_add(limit).unwrap_or(now + Duration::from_secs(86_400));
        Self { started: now, deadline, tries: 0 }
    }

    /// Counts a try that begins.
    pub(crate) fn count(&mut self) {
        self.tries = self.tries.saturating_add(1);
    }

    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(crate) fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// How long one try may take that begins `now` and has a limit of its own; `None` if that limit comes first anyway.
    pub(crate) fn cut(&self, now: Instant, limit: Duration) -> Option<Duration> {
        let left = self.deadline.saturating_duration_since(now);
        (left < limit).then_some(left)
    }

    /// What to do after a try that failed `now`: wait as long as the `backoff` says, or longer if the service `asked` for
    /// it. A wait that would outlast the deadline is not begun, since no try could follow it.
    pub(crate) fn next(&self, now: Instant, backoff: Duration, asked: Option<Duration>) -> Next {
        let wait = asked.unwrap_or_default().max(backoff);
        let left = self.deadline.saturating_duration_since(now);
        if wait < left { Next::Wait(wait) } else { Next::GiveUp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// A message with a deadline of one second whose try failed `after` that many milliseconds.
    fn check(after: u64, backoff: u64, asked: Option<u64>, expected: Next) {
        let start = Instant::now();
        let schedule = Schedule::new(start, ms(1_000));
        assert_eq!(schedule.next(start + ms(after), ms(backoff), asked.map(ms)), expected);
    }

    #[test]
    fn the_longer_of_both_waits_counts() {
        check(0, 100, None, Next::Wait(ms(100)));
        check(0, 100, Some(300), Next::Wait(ms(300)));
        check(0, 100, Some(0), Next::Wait(ms(100)));
    }

    #[test]
    fn no_wait_outlasts_the_deadline() {
        check(899, 100, None, Next::Wait(ms(100)));
        check(900, 100, None, Next::GiveUp);
        check(0, 100, Some(3_600_000), Next::GiveUp);
        check(5_000, 0, None, Next::GiveUp);
    }

    #[test]
    fn a_try_is_cut_when_the_deadline_comes_before_its_own_limit() {
        let start = Instant::now();
        let schedule = Schedule::new(start, ms(1_000));
        assert_eq!(schedule.cut(start, ms(500)), None);
        assert_eq!(schedule.cut(start + ms(800), ms(500)), Some(ms(200)));
        assert_eq!(schedule.cut(start + ms(1_200), ms(500)), Some(ms(0)));
    }

    #[test]
    fn a_deadline_beyond_all_clocks_is_none() {
        let start = Instant::now();
        assert_eq!(Schedule::new(start, Duration::MAX).next(start, ms(1), None), Next::Wait(ms(1)));
    }
}
