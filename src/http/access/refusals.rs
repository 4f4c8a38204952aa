//! Counts refused calls, and logs the first of each caller in a minute.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::metrics::Labelled;
use crate::sync::lock;

/// Time in which one refusal of each caller is logged.
const INTERVAL: Duration = Duration::from_secs(60);

/// Number of callers whose last refusal is remembered; those of further ones are only counted.
const CALLERS_MAX: usize = 1000;

/// Refused calls by listener and status. Cheap to clone; clones share their values.
#[derive(Debug, Clone)]
pub(crate) struct RefusalMetrics(Labelled<2, Counter>);

impl RefusalMetrics {
    /// Creates the metric and registers it.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::unregistered();
        let help = "Calls that were refused because of who made them, by status: 401 unknown caller, 403 known caller";
        registry.register("exorelay_access_refusals", help, metrics.0.clone());
        metrics
    }

    /// Creates the metric for a listener whose process shows it nowhere.
    pub(crate) fn unregistered() -> Self {
        Self(Labelled::new(["listener", "status"]))
    }
}

/// The refused calls of one listener.
#[derive(Debug)]
pub(crate) struct Refusals {
    listener: &'static str,
    metrics: RefusalMetrics,
    logged: Mutex<HashMap<String, Logged>>,
}

#[derive(Debug)]
struct Logged {
    at: Instant,
    left_out: u64,
}

impl Refusals {
    pub(crate) fn new(listener: &'static str, metrics: RefusalMetrics) -> Self {
        Self { listener, metrics, logged: Mutex::default() }
    }

    /// Counts a refused call, and logs it unless one of the same caller was within the last minute. `rule` describes the rule
    /// that decided.
    pub(crate) fn count(&self, principal: &str, status: &'static str, right: &str, rule: &str) {
        self.metrics.0.get([self.listener, status]).inc();
        if let Some(left_out) = self.admit(principal, Instant::now()) {
            let listener = self.listener;
            tracing::warn!(listener, principal, right, status, rule, left_out, "refused a call");
        }
    }

    /// Returns the number of lines about this caller that were left out, if this one is to be logged.
    fn admit(&self, principal: &str, now: Instant) -> Option<u64> {
        let mut logged = lock(&self.logged);
        if let Some(last) = logged.get_mut(principal) {
            if now.saturating_duration_since(last.at) < INTERVAL {
                last.left_out += 1;
                return None;
            }
            last.at = now;
            return Some(std::mem::take(&mut last.left_out));
        }
        if logged.len() >= CALLERS_MAX {
            logged.retain(|_, last| now.saturating_duration_since(last.at) < INTERVAL);
        }
        if logged.len() >= CALLERS_MAX {
            return None;
        }
        logged.insert(principal.to_owned(), Logged { at: now, left_out: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_logged_once_in_a_minute() {
        let refusals = Refusals::new("api", RefusalMetrics::unregistered());
        let now = Instant::now();
        assert_eq!(refusals.admit("sub:alice", now), Some(0));
        assert_eq!(refusals.admit("sub:bob", now), Some(0));
        for second in 0..60 {
            assert_eq!(refusals.admit("sub:alice", now + Duration::from_secs(second)), None);
        }
        assert_eq!(refusals.admit("sub:alice", now + INTERVAL), Some(60));
        assert_eq!(refusals.admit("sub:alice", now + 2 * INTERVAL), Some(0));
    }

    #[test]
    fn callers_beyond_the_bound_are_not_remembered() {
        let refusals = Refusals::new("api", RefusalMetrics::unregistered());
        let now = Instant::now();
        for number in 0..2 * CALLERS_MAX {
            let expected = (number < CALLERS_MAX).then_some(0);
            assert_eq!(refusals.admit(&number.to_string(), now), expected);
        }
        assert_eq!(refusals.admit("a later one", now + INTERVAL), Some(0));
        assert_eq!(lock(&refusals.logged).len(), 1);
    }
}
