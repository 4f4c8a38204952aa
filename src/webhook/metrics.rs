//! Webhook metrics.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The webhook's metrics. Cheap to clone; clones share their counters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    pub(super) handled: Counter,
    pub(super) failed: Counter,
    pub(super) retried: Counter,
    pub(super) other_answers: Counter,
    pub(super) returned: Counter,
    pub(super) breaker_open: Gauge,
    pub(super) away: Gauge,
}

impl Metrics {
    /// Creates the counters and registers them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let counters = [
            ("handled", "Messages the service handled", &metrics.handled),
            ("failed", "Messages that became dead letters at the webhook", &metrics.failed),
            ("other_answers", "Answers of the service that were neither empty nor a reply", &metrics.other_answers),
            ("returned", "Messages given back for another instance, as the service does not answer", &metrics.returned),
            ("retried", "Calls to the service that were retried", &metrics.retried),
        ];
        for (name, help, counter) in counters {
            registry.register(format!("exorelay_webhook_{name}"), help, counter.clone());
        }
        let help = "1 while calls to the service are paused";
        registry.register("exorelay_webhook_breaker_open", help, metrics.breaker_open.clone());
        let help = "1 while the service does not answer and other instances of the role are preferred";
        registry.register("exorelay_webhook_away", help, metrics.away.clone());
        metrics
    }
}
