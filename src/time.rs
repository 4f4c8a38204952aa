//! Times that callers choose, up to what no clock can represent.

use std::time::Duration;

use tokio::time::Instant;

/// Longest possible wait.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Returns the time at which `timeout`, from now on, is over; in a year at most.
pub(crate) fn deadline_in(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_time_of_all_is_a_year() {
        assert_eq!(deadline_in(Duration::MAX) - Instant::now(), LONGEST);
        assert_eq!(deadline_in(Duration::from_secs(1)) - Instant::now(), Duration::from_secs(1));
    }
}
