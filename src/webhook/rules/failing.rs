//! Limits the reports about messages that the service fails to handle: the first failure at once, then their number now and
//! then.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::message::MessageName;

/// Time until failures of messages of one name are reported again.
const INTERVAL: Duration = Duration::from_secs(30);

/// Maximum names that are remembered. Beyond it those without failures are forgotten first, then all.
const NAMES_MAX: usize = 256;

/// Failed calls, by the name of the message.
#[derive(Debug, Default)]
pub(crate) struct Failing(HashMap<MessageName, Failures>);

#[derive(Debug)]
struct Failures {
    /// Since the last report.
    unreported: u64,
    /// Since the last success.
    total: u64,
    reported: Instant,
    /// True if no success was reported since.
    is_open: bool,
}

impl Failing {
    /// Records a failed call. Returns the number of failures since the last report, if one is due.
    pub(crate) fn failed(&mut self, name: &MessageName, now: Instant) -> Option<u64> {
        let Some(failures) = self.0.get_mut(name) else {
            self.make_room();
            self.0.insert(name.clone(), Failures { unreported: 0, total: 1, reported: now, is_open: true });
            return Some(1);
        };
        failures.total += 1;
        failures.unreported += 1;
        if now.saturating_duration_since(failures.reported) < INTERVAL {
            return None;
        }
        (failures.reported, failures.is_open) = (now, true);
        Some(std::mem::take(&mut failures.unreported))
    }

    /// Records a call that succeeded. Returns the number of failures before it, if they were reported and this is the first
    /// success since.
    pub(crate) fn succeeded(&mut self, name: &MessageName) -> Option<u64> {
        // The usual case, without a look-up.
        if self.0.is_empty() {
            return None;
        }
        let failures = self.0.get_mut(name)?;
        let total = std::mem::take(&mut failures.total);
        std::mem::take(&mut failures.is_open).then_some(total)
    }

    fn make_room(&mut self) {
        if self.0.len() >= NAMES_MAX {
            self.0.retain(|_, failures| failures.total > 0);
        }
        if self.0.len() >= NAMES_MAX {
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MessageName {
        MessageName::parse(text).unwrap()
    }

    #[test]
    fn the_first_failure_of_a_name_is_reported_at_once_and_then_their_number() {
        let (mut failing, start) = (Failing::default(), Instant::now());
        assert_eq!(failing.failed(&name("a"), start), Some(1));
        assert_eq!(failing.failed(&name("b"), start), Some(1));
        for second in 1..30 {
            assert_eq!(failing.failed(&name("a"), start + Duration::from_secs(second)), None);
        }
        assert_eq!(failing.failed(&name("a"), start + INTERVAL), Some(30));
    }

    #[test]
    fn the_end_is_reported_once_and_a_service_that_fails_now_and_then_floods_nothing() {
        let (mut failing, start) = (Failing::default(), Instant::now());
        assert_eq!(failing.succeeded(&name("a")), None);
        failing.failed(&name("a"), start);
        failing.failed(&name("a"), start);
        assert_eq!(failing.succeeded(&name("a")), Some(2));
        assert_eq!(failing.succeeded(&name("a")), None);
        assert_eq!(failing.failed(&name("a"), start + Duration::from_secs(1)), None);
        assert_eq!(failing.succeeded(&name("a")), None);
        assert_eq!(failing.failed(&name("a"), start + INTERVAL), Some(3));
        assert_eq!(failing.succeeded(&name("a")), Some(1));
    }

    #[test]
    fn a_bounded_number_of_names_is_remembered() {
        let (mut failing, now) = (Failing::default(), Instant::now());
        for number in 0..2 * NAMES_MAX {
            assert_eq!(failing.failed(&name(&format!("name.{number}")), now), Some(1));
            assert!(failing.0.len() <= NAMES_MAX);
        }
    }
}
