//! Metrics of the relay, as `/metrics` shows them.

use std::borrow::Cow;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Error;
use super::rules::{Cause, Direction};
use crate::message::{Message, MessageName, Role, Verdict};
use crate::metrics::{Histogram, Labelled};

/// The label of messages whose names do not count on their own: no service receives them, so they may be anything.
const UNKNOWN: &str = "other";

/// Metrics of one relay. Cheap to clone; clones share their values.
#[derive(Debug, Clone)]
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
    dead_letters_by_cause: Labelled<2, Counter>,
    dead_letters_kept: Gauge,
    late_notices: Counter,
    waiters: Gauge,
    outbox: Gauge,
    outbox_held: Gauge,
    outbox_age: Gauge<f64, AtomicU64>,
    inbox: Gauge,
    inbox_age: Gauge<f64, AtomicU64>,
    online: Gauge,
    sent_by_name: Labelled<1, Counter>,
    received_by_name: Labelled<1, Counter>,
    requests: Labelled<2, Counter>,
    request_duration: Labelled<1, Histogram>,
    publish_duration: Labelled<1, Histogram>,
    handling_duration: Labelled<1, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            accepted: Counter::default(),
            no_receivers: Counter::default(),
            busy: Counter::default(),
            rejected: Counter::default(),
            received: Counter::default(),
            refused: Counter::default(),
            duplicates: Counter::default(),
            reused_ids: Counter::default(),
            unwanted_replies: Counter::default(),
            dead_letters: Counter::default(),
            dead_letters_by_cause: Labelled::new(["direction", "cause"]),
            dead_letters_kept: Gauge::default(),
            late_notices: Counter::default(),
            waiters: Gauge::default(),
            outbox: Gauge::default(),
            outbox_held: Gauge::default(),
            outbox_age: Gauge::default(),
            inbox: Gauge::default(),
            inbox_age: Gauge::default(),
            online: Gauge::default(),
            sent_by_name: Labelled::new(["message"]),
            received_by_name: Labelled::new(["message"]),
            requests: Labelled::new(["message", "outcome"]),
            request_duration: Labelled::new(["message"]),
            publish_duration: Labelled::new(["message"]),
            handling_duration: Labelled::new(["message"]),
        }
    }
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
    pub(super) dead_letters: usize,
}

impl Metrics {
    /// Creates metrics of a relay of `role` and registers them with `registry`.
    pub(crate) fn register(registry: &mut Registry, role: &Role) -> Self {
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
        let help = "Dead letters that can be replayed or discarded";
        registry.register("exorelay_relay_dead_letters_kept", help, metrics.dead_letters_kept.clone());
        metrics.register_labelled(registry, role);
        metrics
    }

    /// Registers the metrics by name of the message, or by cause. Each has the label `role`.
    fn register_labelled(&self, registry: &mut Registry, role: &Role) {
        let role = (Cow::Borrowed("role"), Cow::Owned(role.to_string()));
        let registry = registry.sub_registry_with_label(role);
        let help = "Messages the bus accepted, by name";
        registry.register("exorelay_relay_messages_sent", help, self.sent_by_name.clone());
        let help = "Messages accepted from the bus, by name";
        registry.register("exorelay_relay_messages_received", help, self.received_by_name.clone());
        let help = "Requests that have ended, by name and outcome";
        registry.register("exorelay_relay_requests", help, self.requests.clone());
        let help = "Messages that could not be handled or sent, by direction and cause";
        registry.register("exorelay_relay_dead_letters_by_cause", help, self.dead_letters_by_cause.clone());
        let help = "Time from a request to its reply, or to its failure";
        registry.register("exorelay_relay_request_duration_seconds", help, self.request_duration.clone());
        let help = "Time from the acceptance of a message of the outbox to the decision of the bus";
        registry.register("exorelay_relay_publish_duration_seconds", help, self.publish_duration.clone());
        let help = "Time from the acceptance of a message of the bus until its handler or webhook has ended";
        registry.register("exorelay_relay_handling_duration_seconds", help, self.handling_duration.clone());
    }

    /// Counts a message by the verdict of the bus.
    pub(super) fn sent(&self, name: &MessageName, verdict: &Verdict) {
        match verdict {
            Verdict::Accepted => {
                self.sent_by_name.get([name.as_str()]).inc();
                self.accepted.inc()
            }
            Verdict::NoReceivers => self.no_receivers.inc(),
            Verdict::Busy { .. } => self.busy.inc(),
            Verdict::Forbidden { .. } | Verdict::Refused { .. } => self.rejected.inc(),
        };
    }

    /// Counts a message that the bus has decided on, `since` it was put into the outbox.
    pub(super) fn published(&self, name: &MessageName, since: Instant, verdict: &Verdict) {
        let label = if matches!(verdict, Verdict::NoReceivers) { UNKNOWN } else { name.as_str() };
        self.publish_duration.get([label]).observe(since.elapsed());
    }

    /// Counts a request that was made at `since`.
    pub(super) fn requested(&self, name: &MessageName, since: Instant, outcome: &Result<Message, Error>) {
        let (name, outcome) = match outcome {
            Ok(_) => (name.as_str(), "replied"),
            Err(Error::NoReceivers(_)) => (UNKNOWN, "no_receivers"),
            Err(error) => (name.as_str(), outcome_of(error)),
        };
        self.requests.get([name, outcome]).inc();
        self.request_duration.get([name]).observe(since.elapsed());
    }

    pub(super) fn received(&self, name: &MessageName) {
        self.received.inc();
        self.received_by_name.get([name.as_str()]).inc();
    }

    /// Counts a message that was accepted at `since` and is handled.
    pub(super) fn handled(&self, name: &MessageName, since: Instant) {
        self.handling_duration.get([name.as_str()]).observe(since.elapsed());
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

    pub(super) fn dead_letter(&self, direction: Direction, cause: Cause) {
        self.dead_letters.inc();
        let direction = match direction {
            Direction::Incoming => "incoming",
            Direction::Outgoing => "outgoing",
        };
        self.dead_letters_by_cause.get([direction, cause.label()]).inc();
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
        self.dead_letters_kept.set(count(gauges.dead_letters));
    }
}

/// Returns the label of a request that has ended with an error.
fn outcome_of(error: &Error) -> &'static str {
    match error {
        Error::NoReply { .. } => "timeout",
        Error::Failed { .. } => "failed",
        Error::Undeliverable { .. } => "undeliverable",
        Error::Busy { .. } => "busy",
        Error::Bus(_) => "bus_away",
        Error::Refused { .. } => "refused",
        Error::Closed => "closed",
        _ => "invalid",
    }
}
