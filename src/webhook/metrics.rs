//! Webhook metrics.

use std::borrow::Cow;
use std::time::Instant;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::message::MessageName;
use crate::metrics::{Histogram, Labelled};

/// The webhook's metrics. Cheap to clone; clones share their counters.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(super) handled: Counter,
    pub(super) failed: Counter,
    pub(super) retried: Counter,
    pub(super) other_answers: Counter,
    pub(super) returned: Counter,
    pub(super) breaker_open: Gauge,
    pub(super) away: Gauge,
    calls: Labelled<1, Counter>,
    call_duration: Labelled<1, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            handled: Counter::default(),
            failed: Counter::default(),
            retried: Counter::default(),
            other_answers: Counter::default(),
            returned: Counter::default(),
            breaker_open: Gauge::default(),
            away: Gauge::default(),
            calls: Labelled::new(["status"]),
            call_duration: Labelled::new(["message"]),
        }
    }
}

impl Metrics {
    /// Creates the metrics of the webhook of `role` and registers them.
    pub(crate) fn register(registry: &mut Registry, role: &str) -> Self {
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
        let registry = registry.sub_registry_with_label((Cow::Borrowed("role"), Cow::Owned(role.to_owned())));
        let help = "Calls to the service by class of the status, or none without an answer";
        registry.register("exorelay_webhook_calls", help, metrics.calls.clone());
        let help = "Time from a call to the service to its answer, or to its failure";
        registry.register("exorelay_webhook_call_duration_seconds", help, metrics.call_duration.clone());
        metrics
    }

    /// Counts a call that was made at `since`, with the status of its answer.
    pub(super) fn called(&self, name: &MessageName, since: Instant, status: Option<u16>) {
        let class = match status.map(|status| status / 100) {
            Some(2) => "2xx",
            Some(3) => "3xx",
            Some(4) => "4xx",
            Some(5) => "5xx",
            Some(_) => "other",
            None => "none",
        };
        self.calls.get([class]).inc();
        self.call_duration.get([name.as_str()]).observe(since.elapsed());
    }
}
