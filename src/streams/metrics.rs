//! The streams' numbers, for `GET /metrics`.

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
    pub(crate) waiting_readers: Gauge,
    pub(crate) streams: Gauge,
    pub(crate) content_bytes: Gauge,
}

/// Calls that wake somebody. Cheap to clone; clones count together.
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
        counter("bytes_read", "Bytes of content that readers got", &self.bytes_read);
        counter("refused", "Calls that changed nothing because the rules say no", &self.refused);
        counter("webhooks", "Calls of webhooks that were answered", &self.webhooks.called);
        counter("webhooks_failed", "Calls of webhooks that failed and are made again", &self.webhooks.failed);
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("live_readers", "Long-polls and event streams that are open", &self.waiting_readers);
        gauge("streams", "Streams there are", &self.streams);
        gauge("content_bytes", "Bytes of content that are kept", &self.content_bytes);
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
