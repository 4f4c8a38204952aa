//! Limits a report that could be repeated with every message.

use std::time::{Duration, Instant};

/// Time until the report is due again.
const INTERVAL: Duration = Duration::from_secs(600);

/// Time of the last report.
#[derive(Debug, Default)]
pub(crate) struct Occasional(Option<Instant>);

impl Occasional {
    /// Returns true, and counts as a report, if there was none for ten minutes.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.0.is_none_or(|last| now.saturating_duration_since(last) >= INTERVAL);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_due_once_in_ten_minutes() {
        let (mut report, now) = (Occasional::default(), Instant::now());
        assert!(report.is_due(now));
        assert!(!report.is_due(now + INTERVAL / 2));
        assert!(report.is_due(now + INTERVAL));
    }
}
