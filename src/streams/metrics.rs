//! Metrics of the streams.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The counters and gauges of one [`Streams`](super::Streams). The last two gauges are updated only on request.
#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) created: Counter,
    pub(crate) appended: Counter,
    pub(crate) bytes_appended: Counter,
    pub(crate) bytes_read: Counter,
    pub(crate) refused: Counter,
    pub(crate) webhooks: Webhooks,
    pub(crate) live_readers: Gauge,
    pub(crate) streams: Gauge,
    pub(crate) content_bytes: Gauge,
}

/// Metrics of webhook calls. Cheap to clone; clones count together.
#[derive(Clone, Default)]
pub(crate) struct Webhooks {
    pub(crate) called: Counter,
    pub(crate) failed: Counter,
}

impl Metrics {
    /// Registers every metric under the prefix `exorelay_streams`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("exorelay_streams");
        let mut counter = |name: &str, help: &str, counter: &Counter| registry.register(name, help, counter.clone());
        counter("created", "Streams that were created", &self.created);
        counter("appends", "Appends that wrote something", &self.appended);
        counter("bytes_appended", "Bytes of content that were appended", &self.bytes_appended);
        counter("bytes_read", "Bytes of content that were read", &self.bytes_read);
        counter("refused", "Calls that were refused and changed nothing", &self.refused);
        counter("webhooks", "Calls of webhooks that were answered", &self.webhooks.called);
        counter("webhooks_failed", "Calls of webhooks that failed and are repeated", &self.webhooks.failed);
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("live_readers", "Long-polls and event streams that are open", &self.live_readers);
        gauge("streams", "Current number of streams", &self.streams);
        gauge("content_bytes", "Bytes of content of all streams", &self.content_bytes);
    }
}

/// Counts a live reader until it is dropped.
pub(crate) struct LiveReader(Gauge);

impl LiveReader {
    pub(crate) fn begin(metrics: &Metrics) -> Self {
        metrics.live_readers.inc();
        Self(metrics.live_readers.clone())
    }
}

impl Drop for LiveReader {
    fn drop(&mut self) {
        self.0.dec();
    }
}
