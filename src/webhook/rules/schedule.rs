//! Retry schedule of one message.

use std::time::{Duration, Instant};

/// Attempts and deadline of one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    started: Instant,
    deadline: Instant,
    attempts: u32,
}

/// Decision after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Retry after this wait.
    Wait(Duration),
    /// The next attempt would be after the deadline.
    GiveUp,
}

impl Schedule {
    /// Starts the schedule of a message that may be tried until `now + limit`.
    pub(crate) fn new(now: Instant, limit: Duration) -> Self {
        // On overflow a day is as good as no limit.
        let deadline = now.checked_add(limit).unwrap_or(now + Duration::from_secs(86_400));
        Self { started: now, deadline, attempts: 0 }
    }

    /// Counts an attempt that starts now.
    pub(crate) fn begin_attempt(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(crate) fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// Returns the time left for an attempt that starts `now`, or `None` if its own `timeout` ends before the deadline.
    pub(crate) fn shortened(&self, now: Instant, timeout: Duration) -> Option<Duration> {
        let left = self.deadline.saturating_duration_since(now);
        (left < timeout).then_some(left)
    }

    /// Decides after an attempt that failed `now`: waits for the longer of `backoff` and the wait the service `asked` for,
    /// or gives up if that wait would outlast the deadline.
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

    /// Checks the decision for a message with a deadline of one second whose attempt failed `after` milliseconds.
    fn check(after: u64, backoff: u64, asked: Option<u64>, expected: Next) {
        let start = Instant::now();
        let schedule = Schedule::new(start, ms(1_000));
        assert_eq!(schedule.next(start + ms(after), ms(backoff), asked.map(ms)), expected);
    }

    #[test]
    fn the_longer_wait_wins() {
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
    fn an_attempt_is_shortened_if_the_deadline_comes_before_its_timeout() {
        let start = Instant::now();
        let schedule = Schedule::new(start, ms(1_000));
        assert_eq!(schedule.shortened(start, ms(500)), None);
        assert_eq!(schedule.shortened(start + ms(800), ms(500)), Some(ms(200)));
        assert_eq!(schedule.shortened(start + ms(1_200), ms(500)), Some(ms(0)));
    }

    #[test]
    fn an_unrepresentable_deadline_means_no_deadline() {
        let start = Instant::now();
        assert_eq!(Schedule::new(start, Duration::MAX).next(start, ms(1), None), Next::Wait(ms(1)));
    }
}
