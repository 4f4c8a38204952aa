//! Limits that every listener has.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What an envelope may add to a payload: its names and ids at their longest, and a little more.
const ENVELOPE_BYTES_MAX: usize = 16 * 1024;

/// Bounds of every listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest body a listener takes; a longer one is answered 413.
    pub body_bytes_max: usize,
    /// How long a body may take to arrive; then 408.
    pub body_timeout_ms: u64,
    /// How long a connection may stay without complete request headers; then it is closed.
    pub header_timeout_ms: u64,
    /// How long a connection may take nothing of what is sent to it; then it is closed.
    pub write_timeout_ms: u64,
    /// Open connections per listener; further ones wait in the system's backlog.
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
    /// The same bounds where bodies are envelopes, so that a payload which one listener took is not too large for the
    /// next.
    pub(crate) fn for_envelopes(&self) -> Self {
        Self { body_bytes_max: self.body_bytes_max.saturating_add(ENVELOPE_BYTES_MAX), ..self.clone() }
    }

    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }
}
