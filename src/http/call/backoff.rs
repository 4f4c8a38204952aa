//! Waits between attempts.

use std::iter::Map;
use std::time::Duration;

use tokio_retry::strategy::{ExponentialBackoff, jitter};

/// Endless waits between attempts: 100 ms, then doubling up to a cap. Each is multiplied by a random factor between
/// 0 and 1 (full jitter), so that clients that lost the same server do not come back together.
#[derive(Clone)]
pub(crate) struct Backoff {
    cap: Duration,
    waits: Map<ExponentialBackoff, fn(Duration) -> Duration>,
}

impl Backoff {
    /// Creates a backoff whose waits are at most `cap`.
    pub(crate) fn new(cap: Duration) -> Self {
        Self { cap, waits: ExponentialBackoff::from_millis(2).factor(50).max_delay(cap).map(jitter) }
    }

    /// Returns the next wait.
    pub(crate) fn next(&mut self) -> Duration {
        self.waits.next().unwrap_or(self.cap)
    }

    /// Starts again with the shortest wait.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.cap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_bounds(backoff: &mut Backoff, bounds_ms: &[u64]) {
        for bound in bounds_ms {
            let wait = backoff.next();
            assert!(wait <= Duration::from_millis(*bound), "{wait:?}, expected at most {bound} ms");
        }
    }

    #[test]
    fn waits_double_up_to_the_cap_and_begin_anew_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(500));
        check_bounds(&mut backoff, &[100, 200, 400, 500, 500]);
        backoff.reset();
        check_bounds(&mut backoff, &[100, 200]);
    }
}
