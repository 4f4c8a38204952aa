//! Broker metrics for `GET /metrics`.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::rules::{Envelope, Load, Reason};
use crate::metrics::{Histogram, Labelled};

/// The broker's self. Gauges are set on each scrape.
pub(crate) struct Metrics {
    pub(crate) accepted: Counter,
    pub(crate) unrouted: Counter,
    pub(crate) refused: Counter,
    pub(crate) retried: Counter,
    delivered: Counter,
    pub(crate) undelivered: Counter,
    given_up: Labelled<2, Counter>,
    delivery_duration: Labelled<2, Histogram>,
    queued: Gauge,
    queued_bytes: Gauge,
    oldest: Gauge<f64, AtomicU64>,
    instances: Gauge,
    open_requests: Gauge,
}

/// Values of the gauges at one moment.
pub(crate) struct Gauges {
    pub(crate) load: Load,
    /// Time for which the oldest message has waited for its receiver.
    pub(crate) oldest: Duration,
    pub(crate) instances: usize,
    pub(crate) open_requests: usize,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            accepted: Counter::default(),
            unrouted: Counter::default(),
            refused: Counter::default(),
            retried: Counter::default(),
            delivered: Counter::default(),
            undelivered: Counter::default(),
            given_up: Labelled::new(["role", "cause"]),
            delivery_duration: Labelled::new(["role", "message"]),
            queued: Gauge::default(),
            queued_bytes: Gauge::default(),
            oldest: Gauge::default(),
            instances: Gauge::default(),
            open_requests: Gauge::default(),
        }
    }

    /// Registers every metric with `registry`, whose prefix is `exorelay_broker`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let mut counter = |name: &str, help: &str, counter: &Counter| registry.register(name, help, counter.clone());
        counter("messages_accepted", "Messages accepted for delivery", &self.accepted);
        counter("messages_without_receivers", "Messages that no service receives", &self.unrouted);
        let help = "Messages refused because queues were full or the broker shut down";
        counter("messages_refused", help, &self.refused);
        counter("deliveries", "Deliveries that a receiver accepted", &self.delivered);
        counter("delivery_retries", "Delivery calls that failed and were retried", &self.retried);
        counter("deliveries_given_up", "Deliveries that were given up and reported", &self.undelivered);
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("queued_messages", "Messages waiting for their receivers", &self.queued);
        gauge("queued_bytes", "Payload bytes waiting for their receivers", &self.queued_bytes);
        gauge("instances", "Instances on the roster", &self.instances);
        gauge("open_requests", "Requests that wait for their replies", &self.open_requests);
        let help = "Time for which the oldest message waits for its receiver";
        registry.register("queued_oldest_seconds", help, self.oldest.clone());
        let help = "Deliveries that were given up and reported, by role of the receiver and cause";
        registry.register("deliveries_given_up_by_cause", help, self.given_up.clone());
        let help = "Time from the acceptance of a message until its receiver has it, by role of the receiver and name";
        registry.register("delivery_duration_seconds", help, self.delivery_duration.clone());
    }

    /// Counts messages that their receivers have accepted.
    pub(crate) fn delivered(&self, envelopes: &[Envelope]) {
        if envelopes.is_empty() {
            return;
        }
        let now = Instant::now();
        self.delivered.inc_by(envelopes.len() as u64);
        for envelope in envelopes {
            let duration = now.saturating_duration_since(envelope.accepted);
            self.delivery_duration.get([envelope.role.as_str(), envelope.public.as_str()]).observe(duration);
        }
    }

    /// Counts a message that was given up.
    pub(crate) fn given_up(&self, envelope: &Envelope, reason: &Reason) {
        self.undelivered.inc();
        self.given_up.get([envelope.role.as_str(), reason.label()]).inc();
    }

    pub(crate) fn set(&self, gauges: &Gauges) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.queued.set(count(gauges.load.messages));
        self.queued_bytes.set(count(gauges.load.bytes));
        self.oldest.set(gauges.oldest.as_secs_f64());
        self.instances.set(count(gauges.instances));
        self.open_requests.set(count(gauges.open_requests));
    }
}
