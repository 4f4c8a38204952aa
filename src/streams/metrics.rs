//! The streams' numbers, for `GET /metrics`.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters are cheap; gauges that need a look are set when somebody asks.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) created: Counter,
    pub(crate) appended: Counter,
    pub(crate) bytes_appended: Counter,
    pub(crate) bytes_read: Counter,
    pub(crate) refused: Counter,
    pub(crate) webhooks: Webhooks,
    pub(crate) waiting_readers: Gauge,
    pub(crate) streams: Gauge,
    pub(crate) content_bytes: Gauge,
}

/// Calls that wake somebody. Cheap to clone; clones count together.
#[derive(Clone)]
pub(crate) struct Webhooks {
    pub(crate) called: Counter,
    pub(crate) failed: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("exorelay_streams");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let created = counter("created", "Streams that were created");
        let appended = counter("appends", "Appends that wrote something");
        let bytes_appended = counter("bytes_appended", "Bytes of content that were appended");
        let bytes_read = counter("bytes_read", "Bytes of content that readers got");
        let refused = counter("refused", "Calls that changed nothing because the rules say no");
        let webhooks = Webhooks {
            called: counter("webhooks", "Calls of webhooks that were answered"),
            failed: counter("webhooks_failed", "Calls of webhooks that failed and are made again"),
        };
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let waiting_readers = gauge("live_readers", "Long-polls and event streams that are open");
        let streams = gauge("streams", "Streams there are");
        let content_bytes = gauge("content_bytes", "Bytes of content that are kept");
        Self {
            registry,
            created,
            appended,
            bytes_appended,
            bytes_read,
            refused,
            webhooks,
            waiting_readers,
            streams,
            content_bytes,
        }
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        text
    }
}

/// Counts one live reader as long as it lives.
pub(crate) struct Waiting(Gauge);

impl Waiting {
    pub(crate) fn begin(metrics: &Metrics) -> Self {
        metrics.waiting_readers.inc();
        Self(metrics.waiting_readers.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}
