//! Retry schedule of one message.

use std::time::{Duration, Instant};

/// Attempts and deadline of one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    started: Instant,
    deadline: Instant,
    /// Time after which no further attempt begins: the deadline, or earlier if a requester stops waiting then.
    retry_until: Instant,
    attempts: u32,
}

/// Decision after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Retry after this wait.
    Wait(Duration),
    /// The next attempt would come too late.
    GiveUp,
}

impl Schedule {
    /// Starts the schedule of a message that may be tried until `now + limit`. Its requester, if there is one, waits for
    /// `patience`: it must get the reason of a failure before that.
    pub(crate) fn new(now: Instant, limit: Duration, patience: Option<Duration>) -> Self {
        // On overflow a day is as good as no limit.
        let deadline = now.checked_add(limit).unwrap_or(now + Duration::from_secs(86_400));
        // The notice of the failure takes its time, too.
        let patience = patience.and_then(|patience| now.checked_add(patience - patience / 20));
        let retry_until = patience.map_or(deadline, |patience| patience.min(deadline));
        Self { started: now, deadline, retry_until, attempts: 0 }
    }

    /// Counts an attempt that starts now.
    pub(crate) fn begin_attempt(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the time until which an attempt may begin.
    pub(crate) fn retry_until(&self) -> Instant {
        self.retry_until
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
    /// or gives up if that wait would outlast the deadline or the requester's patience.
    pub(crate) fn next(&self, now: Instant, backoff: Duration, asked: Option<Duration>) -> Next {
        let wait = asked.unwrap_or_default().max(backoff);
        let left = self.retry_until.saturating_duration_since(now);
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
        let schedule = Schedule::new(start, ms(1_000), None);
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
        let schedule = Schedule::new(start, ms(1_000), None);
        assert_eq!(schedule.shortened(start, ms(500)), None);
        assert_eq!(schedule.shortened(start + ms(800), ms(500)), Some(ms(200)));
        assert_eq!(schedule.shortened(start + ms(1_200), ms(500)), Some(ms(0)));
    }

    #[test]
    fn an_unrepresentable_deadline_means_no_deadline() {
        let start = Instant::now();
        assert_eq!(Schedule::new(start, Duration::MAX, None).next(start, ms(1), None), Next::Wait(ms(1)));
    }

    #[test]
    fn the_last_attempt_begins_before_the_requester_stops_waiting() {
        let start = Instant::now();
        let schedule = Schedule::new(start, ms(1_000), Some(ms(500)));
        assert_eq!(schedule.next(start + ms(300), ms(174), None), Next::Wait(ms(174)));
        assert_eq!(schedule.next(start + ms(300), ms(175), None), Next::GiveUp);
        assert_eq!(schedule.shortened(start + ms(300), ms(700)), None, "an attempt that runs is not cut short");
        let patient = Schedule::new(start, ms(1_000), Some(Duration::MAX));
        assert_eq!(patient.next(start, ms(999), None), Next::Wait(ms(999)));
    }
}
