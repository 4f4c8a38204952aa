//! Decides which messages are traced and logged.

use std::time::{Duration, Instant};

use super::PackedTrace;
use crate::broker::config::Config;
use crate::message::{ActivityId, InstanceId, Message, MessageName};

/// Starts the traces of messages. Nothing is traced unless traces are kept or somebody follows the traffic.
pub(crate) struct Tracer {
    keeps_traces: bool,
    with_payloads: bool,
    logs_messages: bool,
    followers: usize,
}

impl Tracer {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            keeps_traces: config.traffic_messages_max > 0,
            with_payloads: config.log_payloads,
            logs_messages: config.log_messages,
            followers: 0,
        }
    }

    /// Counts one more follower of the traffic.
    pub(crate) fn follow(&mut self) {
        self.followers += 1;
    }

    /// Counts one follower less.
    pub(crate) fn unfollow(&mut self) {
        self.followers = self.followers.saturating_sub(1);
    }

    /// Returns true if messages are traced.
    pub(crate) fn is_active(&self) -> bool {
        self.keeps_traces || self.followers > 0
    }

    /// Returns true if routed messages are logged.
    pub(crate) fn logs_messages(&self) -> bool {
        self.logs_messages
    }

    /// Returns the trace of a message without receivers.
    pub(crate) fn trace(
        &self,
        now: Instant,
        message: &Message,
        names: (&MessageName, &ActivityId),
        origin: Option<&InstanceId>,
        response_time: Option<Duration>,
    ) -> PackedTrace {
        let mut trace = PackedTrace::new(now, message, names, origin, response_time);
        if self.with_payloads {
            trace.payload = message.payload.clone();
        }
        trace
    }
}
