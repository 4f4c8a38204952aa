//! Remembers what was logged lately, so that a service that is refused again and again is reported once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::message::Role;

/// Time after which the same trouble is logged again.
const INTERVAL: Duration = Duration::from_secs(600);

/// Maximum troubles that are remembered; beyond it all are forgotten.
const TROUBLES_MAX: usize = 256;

/// The troubles with services that were logged lately, and when.
#[derive(Default)]
pub(super) struct Recent(HashMap<(Option<Role>, String), Instant>);

impl Recent {
    /// Returns true, and counts as logged, if this trouble with the role was not logged lately.
    pub(super) fn is_news(&mut self, role: &Option<Role>, cause: &str, now: Instant) -> bool {
        self.0.retain(|_, logged| now.saturating_duration_since(*logged) < INTERVAL);
        if self.0.len() >= TROUBLES_MAX {
            self.0.clear();
        }
        let trouble = (role.clone(), cause.to_owned());
        let is_news = !self.0.contains_key(&trouble);
        self.0.entry(trouble).or_insert(now);
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_news_once_in_ten_minutes() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        let web = Role::parse("web").ok();
        assert!(recent.is_news(&web, "refused", now));
        assert!(!recent.is_news(&web, "refused", now + INTERVAL / 2));
        assert!(recent.is_news(&web, "silent", now) && recent.is_news(&None, "refused", now));
        assert!(recent.is_news(&web, "refused", now + INTERVAL));
        for number in 0..2 * TROUBLES_MAX {
            recent.is_news(&None, &number.to_string(), now);
            assert!(recent.0.len() <= TROUBLES_MAX);
        }
    }
}
