//! Limits that every listener has.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::ENVELOPE_BYTES_MAX;

/// Bytes that may surround a payload: its envelope, that of a message which carries it to or from the security service, and
/// that of the notice which brings it back.
const AROUND_PAYLOAD_BYTES_MAX: usize = 3 * ENVELOPE_BYTES_MAX;

/// Limits of every listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest request body, and so the largest payload of a message on every bus; a larger one is answered 413.
    pub body_bytes_max: usize,
    /// Timeout for receiving a body; then 408.
    pub body_timeout_ms: u64,
    /// Timeout for receiving request headers; then the connection is closed.
    pub header_timeout_ms: u64,
    /// Time for which a write may make no progress; then the connection is closed.
    pub write_timeout_ms: u64,
    /// Maximum number of open connections per listener; further ones wait in the system's backlog.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1024 * 1024,
            body_timeout_ms: 10_000,
            header_timeout_ms: 30_000,
            write_timeout_ms: 30_000,
            connections_max: 16_384,
        }
    }
}

impl Limits {
    /// Returns limits for bodies that are envelopes, so that a payload accepted by one listener fits through the next.
    pub(crate) fn for_envelopes(&self) -> Self {
        Self { body_bytes_max: self.envelope_bytes_max(), ..self.clone() }
    }

    /// Returns the maximum size of an envelope with a payload of at most `body_bytes_max`.
    pub(crate) fn envelope_bytes_max(&self) -> usize {
        self.body_bytes_max.saturating_add(AROUND_PAYLOAD_BYTES_MAX)
    }

    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }
}
