//! The pauses before a service is started again.

use std::time::Duration;

/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);

/// Time after which a service that runs counts as one that works: the pauses begin anew.
const WORKS_AFTER: Duration = Duration::from_secs(10);

/// The next pause.
pub(super) struct Restarts {
    next: Duration,
}

impl Restarts {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// Returns the pause after a run of this length.
    pub(super) fn pause(&mut self, ran: Duration) -> Duration {
        let pause = if ran >= WORKS_AFTER { FIRST } else { self.next };
        self.next = (pause * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_the_service_has_run_for_a_while() {
        let mut restarts = Restarts::new();
        let mut pause_ms = |ran: Duration| restarts.pause(ran).as_millis();
        let short: Vec<u128> = (0..9).map(|_| pause_ms(Duration::ZERO)).collect();
        assert_eq!(short, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert_eq!((pause_ms(WORKS_AFTER), pause_ms(Duration::ZERO)), (100, 200));
    }
}
