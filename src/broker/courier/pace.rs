//! The times at which single deliveries to one service begin.

use std::time::Duration;

use tokio::time::Instant;

/// Decides when the next single delivery begins. A receiver may need a further message before it answers the last one, so
/// that one is not waited for without end.
pub(super) struct Pace {
    /// Time after which an unanswered delivery holds up the next one no longer.
    overlap: Duration,
    /// The delivery that began last, until it ends.
    last: Option<(u64, Instant)>,
    /// End of the pause after a failure.
    resume_at: Option<Instant>,
    /// True after a failure until a delivery succeeds; until then one begins at a time.
    is_probing: bool,
}

impl Pace {
    pub(super) fn new(overlap: Duration) -> Self {
        Self { overlap, last: None, resume_at: None, is_probing: false }
    }

    /// Records that a delivery begins, which ends a pause.
    pub(super) fn begin(&mut self, sequence: u64, now: Instant) {
        self.last = Some((sequence, now));
        self.resume_at = None;
    }

    /// Records that a delivery ends. `wait` is the length of the pause, if it failed and no pause is in progress.
    pub(super) fn end(&mut self, sequence: u64, wait: Option<Duration>, now: Instant) {
        self.last = self.last.filter(|(last, _)| *last != sequence);
        self.is_probing = wait.is_some();
        self.resume_at = self.resume_at.or(wait.map(|wait| now + wait));
    }

    /// Returns true in the pause after a failure.
    pub(super) fn is_paused(&self) -> bool {
        self.resume_at.is_some()
    }

    /// Returns the time at which the next delivery may begin, which may have passed; `None` if not before one ends.
    pub(super) fn next_at(&self) -> Option<Instant> {
        match (self.resume_at, self.last) {
            (Some(resume_at), _) => Some(resume_at),
            (None, Some(_)) if self.is_probing => None,
            (None, Some((_, began))) => Some(began + self.overlap),
            (None, None) => Some(Instant::now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERLAP: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn an_unanswered_delivery_holds_up_the_next_one_for_a_while() {
        let (mut pace, now) = (Pace::new(OVERLAP), Instant::now());
        assert_eq!(pace.next_at(), Some(now));
        pace.begin(1, now);
        assert_eq!(pace.next_at(), Some(now + OVERLAP));
        pace.begin(2, now + OVERLAP);
        pace.end(2, None, now + OVERLAP);
        assert_eq!(pace.next_at(), Some(now));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_one_delivery_begins_at_a_time_until_one_succeeds() {
        let (mut pace, now, second) = (Pace::new(OVERLAP), Instant::now(), Duration::from_secs(1));
        pace.begin(1, now);
        pace.begin(2, now);
        pace.end(1, Some(second), now);
        pace.end(2, Some(Duration::ZERO), now);
        assert_eq!((pace.is_paused(), pace.next_at()), (true, Some(now + second)));
        pace.begin(1, now + second);
        assert_eq!((pace.is_paused(), pace.next_at()), (false, None));
        pace.end(1, None, now + second);
        assert_eq!(pace.next_at(), Some(now));
    }
}
