//! A histogram of durations.

use std::array;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upper bounds of the buckets in microseconds: from a call on the loopback interface to the longest waits for a reply.
const BOUNDS_US: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Durations by bucket, shown in seconds. Cheap to clone; clones share their values.
///
/// The library's own takes a lock for each observation; this one makes two additions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Histogram(Arc<Values>);

#[derive(Debug)]
struct Values {
    /// One for each bound, and one beyond.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

impl Default for Values {
    fn default() -> Self {
        Self { buckets: array::from_fn(|_| AtomicU64::new(0)), sum_ns: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts one duration.
    pub(crate) fn observe(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < ns.div_ceil(1_000));
        self.0.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let sum = Duration::from_nanos(self.0.sum_ns.load(Ordering::Relaxed)).as_secs_f64();
        let bound = |index: usize| BOUNDS_US.get(index).map_or(f64::INFINITY, |us| *us as f64 / 1e6);
        let buckets: [(f64, u64); BOUNDS_US.len() + 1] =
            array::from_fn(|index| (bound(index), self.0.buckets[index].load(Ordering::Relaxed)));
        // The sum of what is shown, so that the last bucket and the count agree.
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::metrics::openmetrics;

    #[test]
    fn a_duration_counts_in_every_bucket_that_it_fits_into() {
        let (mut registry, histogram) = (Registry::default(), Histogram::default());
        registry.register("time_seconds", "Time", histogram.clone());
        for us in [100, 101, 2_000_000, 90_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let text = openmetrics(&registry);
        for line in [
            "# TYPE time_seconds histogram",
            "time_seconds_count 4",
            "time_seconds_sum 92.000201",
            "time_seconds_bucket{le=\"0.0001\"} 1",
            "time_seconds_bucket{le=\"0.00025\"} 2",
            "time_seconds_bucket{le=\"1.0\"} 2",
            "time_seconds_bucket{le=\"2.5\"} 3",
            "time_seconds_bucket{le=\"60.0\"} 3",
            "time_seconds_bucket{le=\"+Inf\"} 4",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn the_longest_duration_does_not_overflow() {
        let histogram = Histogram::default();
        histogram.observe(Duration::MAX);
        assert_eq!(histogram.0.buckets[BOUNDS_US.len()].load(Ordering::Relaxed), 1);
    }
}
