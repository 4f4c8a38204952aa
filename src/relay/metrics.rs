//! What the relay counts, in the names of `/metrics`.

use crate::message::Verdict;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The relay's counters. Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    accepted: Counter,
    no_receivers: Counter,
    busy: Counter,
    rejected: Counter,
    pub(super) received: Counter,
    pub(super) refused: Counter,
    pub(super) duplicates: Counter,
    pub(super) dead_letters: Counter,
    waiters: Gauge,
    outbox: Gauge,
    online: Gauge,
}

impl Metrics {
    /// Fresh counters, shown in `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let counters = [
            ("sent", "Messages the bus accepted", &metrics.accepted),
            ("no_receivers", "Messages nobody on the bus receives", &metrics.no_receivers),
            ("sent_busy", "Messages the bus had no room for", &metrics.busy),
            ("sent_rejected", "Messages the bus refused", &metrics.rejected),
            ("received", "Messages accepted from the bus", &metrics.received),
            ("refused", "Messages refused to the bus", &metrics.refused),
            ("duplicates", "Messages that came again and were not handled again", &metrics.duplicates),
            ("dead_letters", "Messages that could not be handled or sent", &metrics.dead_letters),
        ];
        for (name, help, counter) in counters {
            registry.register(format!("exorelay_relay_{name}"), help, counter.clone());
        }
        registry.register("exorelay_relay_waiters", "Requests waiting for replies", metrics.waiters.clone());
        registry.register("exorelay_relay_outbox", "Messages waiting for the bus", metrics.outbox.clone());
        registry.register("exorelay_relay_online", "1 while the relay is on the bus", metrics.online.clone());
        metrics
    }

    pub(super) fn sent(&self, verdict: &Verdict) {
        match verdict {
            Verdict::Accepted => self.accepted.inc(),
            Verdict::NoReceivers => self.no_receivers.inc(),
            Verdict::Busy { .. } => self.busy.inc(),
            Verdict::Forbidden { .. } | Verdict::Refused { .. } => self.rejected.inc(),
        };
    }
}

impl super::Relay {
    /// Brings the gauges up to date; called before they are read.
    pub(crate) fn refresh_metrics(&self) {
        self.metrics().waiters.set(gauge(self.waiting()));
        self.metrics().outbox.set(gauge(self.outbox().len()));
        self.metrics().online.set(i64::from(self.bus_trouble().is_none()));
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
