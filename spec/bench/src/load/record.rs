//! Outcome of the calls of one phase.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

const LATENCY_NS_MAX: u64 = 120_000_000_000;

/// Collects from all callers of a phase. The lock is held for nanoseconds and, with one load thread, never contended.
pub struct Recorder {
    record: Mutex<Record>,
}

struct Record {
    latencies_ns: Histogram<u64>,
    errors: u64,
    first_error: Option<String>,
}

/// The figures of one cell of one contender in one round.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Answered calls.
    pub requests: u64,
    /// Calls that failed or were answered wrongly, the warm-up's among them.
    pub errors: u64,
    /// Error of the first of them.
    pub first_error: Option<String>,
    /// Answered calls a second.
    pub per_second: f64,
    /// Half of the calls took at most this long, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 calls took at most this long, in milliseconds.
    pub p99_ms: f64,
}

impl Default for Recorder {
    fn default() -> Self {
        let latencies_ns = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("the bounds are constants");
        Self { record: Mutex::new(Record { latencies_ns, errors: 0, first_error: None }) }
    }
}

impl Recorder {
    /// Counts an answered call.
    pub fn success(&self, took: Duration) {
        self.lock().latencies_ns.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(LATENCY_NS_MAX));
    }

    /// Counts a failed call and keeps the first reason.
    pub fn failure(&self, why: String) {
        let mut record = self.lock();
        record.errors += 1;
        record.first_error.get_or_insert(why);
    }

    /// The figures of a phase that took `elapsed`.
    pub fn figures(&self, elapsed: Duration) -> Figures {
        let record = self.lock();
        let milliseconds = |quantile| record.latencies_ns.value_at_quantile(quantile) as f64 / 1e6;
        Figures {
            requests: record.latencies_ns.len(),
            errors: record.errors,
            first_error: record.first_error.clone(),
            per_second: record.latencies_ns.len() as f64 / elapsed.as_secs_f64(),
            p50_ms: milliseconds(0.50),
            p99_ms: milliseconds(0.99),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        // Counting cannot leave a record half done, so a panic elsewhere does not spoil it.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Figures {
    /// Adds the errors of another phase, so that none is hidden.
    pub fn with_errors_of(mut self, other: &Recorder) -> Self {
        let other = other.lock();
        self.errors += other.errors;
        self.first_error = other.first_error.clone().or(self.first_error);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_count_calls_and_name_the_first_error() {
        let recorder = Recorder::default();
        (1..=100).for_each(|ms| recorder.success(Duration::from_millis(ms)));
        recorder.failure("first".to_owned());
        recorder.failure("second".to_owned());
        let figures = recorder.figures(Duration::from_secs(2));
        assert_eq!((figures.requests, figures.errors), (100, 2));
        assert_eq!(figures.first_error.as_deref(), Some("first"));
        assert!((figures.per_second - 50.0).abs() < 1e-9);
        assert!((figures.p50_ms - 50.0).abs() < 0.1);
        assert!((figures.p99_ms - 99.0).abs() < 0.1);
    }
}
