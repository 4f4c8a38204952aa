//! Counters and gauges of the relay, as `/metrics` shows them.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::message::Verdict;

/// Metrics of one relay. Cheap to clone; clones share their values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    accepted: Counter,
    no_receivers: Counter,
    busy: Counter,
    rejected: Counter,
    received: Counter,
    refused: Counter,
    duplicates: Counter,
    reused_ids: Counter,
    unwanted_replies: Counter,
    dead_letters: Counter,
    late_notices: Counter,
    waiters: Gauge,
    outbox: Gauge,
    outbox_held: Gauge,
    outbox_age: Gauge<f64, AtomicU64>,
    inbox: Gauge,
    inbox_age: Gauge<f64, AtomicU64>,
    online: Gauge,
}

/// Values of the gauges at one moment.
pub(super) struct Gauges {
    pub(super) waiting_requests: usize,
    pub(super) outbox_messages: usize,
    /// Messages of the outbox whose receiver is busy.
    pub(super) outbox_held: usize,
    /// Time for which the oldest message of the outbox has waited.
    pub(super) outbox_age: Duration,
    /// Messages in handlers, or waiting for a handler or a subscriber.
    pub(super) inbox_messages: usize,
    /// Time for which the oldest message has waited for a subscriber.
    pub(super) inbox_age: Duration,
    pub(super) online: bool,
}

impl Metrics {
    /// Creates metrics and registers them with `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let counters = [
            ("sent", "Messages the bus accepted", &metrics.accepted),
            ("no_receivers", "Messages that no service on the bus receives", &metrics.no_receivers),
            ("sent_busy", "Messages refused because a queue of the bus was full", &metrics.busy),
            ("sent_rejected", "Messages the bus refused", &metrics.rejected),
            ("received", "Messages accepted from the bus", &metrics.received),
            ("refused", "Messages from the bus that were not accepted", &metrics.refused),
            ("duplicates", "Messages received again and ignored", &metrics.duplicates),
            ("reused_ids", "Messages whose sender had used their id for another message", &metrics.reused_ids),
            ("unwanted_replies", "Replies that nobody waited for and no handler takes", &metrics.unwanted_replies),
            ("late_notices", "Failures of requests that had ended before", &metrics.late_notices),
            ("dead_letters", "Messages that could not be handled or sent", &metrics.dead_letters),
        ];
        for (name, help, counter) in counters {
            registry.register(format!("exorelay_relay_{name}"), help, counter.clone());
        }
        registry.register("exorelay_relay_waiters", "Requests waiting for replies", metrics.waiters.clone());
        registry.register("exorelay_relay_outbox", "Messages waiting for the bus", metrics.outbox.clone());
        registry.register(
            "exorelay_relay_outbox_held",
            "Messages waiting because their receiver is busy",
            metrics.outbox_held.clone(),
        );
        let help = "Time for which the oldest message has waited for the bus";
        registry.register("exorelay_relay_outbox_age_seconds", help, metrics.outbox_age.clone());
        let help = "Messages in handlers, or waiting for a handler or a follower";
        registry.register("exorelay_relay_inbox", help, metrics.inbox.clone());
        let help = "Time for which the oldest message has waited for a follower";
        registry.register("exorelay_relay_inbox_age_seconds", help, metrics.inbox_age.clone());
        registry.register("exorelay_relay_online", "1 while the relay is on the bus", metrics.online.clone());
        metrics
    }

    /// Counts a message by the verdict of the bus.
    pub(super) fn sent(&self, verdict: &Verdict) {
        match verdict {
            Verdict::Accepted => self.accepted.inc(),
            Verdict::NoReceivers => self.no_receivers.inc(),
            Verdict::Busy { .. } => self.busy.inc(),
            Verdict::Forbidden { .. } | Verdict::Refused { .. } => self.rejected.inc(),
        };
    }

    pub(super) fn received(&self) {
        self.received.inc();
    }

    pub(super) fn refused(&self) {
        self.refused.inc();
    }

    pub(super) fn duplicate(&self) {
        self.duplicates.inc();
    }

    pub(super) fn reused_id(&self) {
        self.reused_ids.inc();
    }

    pub(super) fn unwanted_reply(&self) {
        self.unwanted_replies.inc();
    }

    pub(super) fn late_notice(&self) {
        self.late_notices.inc();
    }

    pub(super) fn dead_letter(&self) {
        self.dead_letters.inc();
    }

    pub(super) fn set(&self, gauges: &Gauges) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.waiters.set(count(gauges.waiting_requests));
        self.outbox.set(count(gauges.outbox_messages));
        self.outbox_held.set(count(gauges.outbox_held));
        self.outbox_age.set(gauges.outbox_age.as_secs_f64());
        self.inbox.set(count(gauges.inbox_messages));
        self.inbox_age.set(gauges.inbox_age.as_secs_f64());
        self.online.set(i64::from(gauges.online));
    }
}
