//! Deadlines.

use std::time::Duration;

use tokio::time::Instant;

/// Longest possible wait. Callers may ask for more, up to what a clock cannot represent.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Returns the time at which `timeout`, from now on, is over; in a year at most.
pub(super) fn deadline_in(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(LONGEST)
}
