//! Broker metrics for `GET /metrics`.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The broker's metrics. Gauges are set on each scrape.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) accepted: Counter,
    pub(crate) unrouted: Counter,
    pub(crate) refused: Counter,
    pub(crate) delivered: Counter,
    pub(crate) retried: Counter,
    pub(crate) undelivered: Counter,
    pub(crate) queued: Gauge,
    pub(crate) queued_bytes: Gauge,
    pub(crate) instances: Gauge,
    pub(crate) oldest_ms: Gauge,
    pub(crate) open_requests: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("exorelay_broker");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let accepted = counter("messages_accepted", "Messages accepted for delivery");
        let unrouted = counter("messages_without_receivers", "Messages that no service receives");
        let refused = counter("messages_refused", "Messages refused because queues were full or the broker shut down");
        let delivered = counter("deliveries", "Deliveries that a receiver accepted");
        let retried = counter("delivery_retries", "Delivery calls that failed and were retried");
        let undelivered = counter("deliveries_given_up", "Deliveries that were given up and reported");
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let queued = gauge("queued_messages", "Messages waiting for their receivers");
        let queued_bytes = gauge("queued_bytes", "Payload bytes waiting for their receivers");
        let instances = gauge("instances", "Instances on the roster");
        let oldest_ms = gauge("queued_oldest_milliseconds", "Time for which the oldest message waits for its receiver");
        let open_requests = gauge("open_requests", "Requests that wait for their replies");
        Self {
            oldest_ms,
            open_requests,
            registry,
            accepted,
            unrouted,
            refused,
            delivered,
            retried,
            undelivered,
            queued,
            queued_bytes,
            instances,
        }
    }

    /// Returns the metrics in the OpenMetrics text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry) {
            tracing::error!(%error, "cannot encode the metrics");
        }
        text
    }
}
