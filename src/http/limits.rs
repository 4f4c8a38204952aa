//! Limits that every listener has.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bytes that an envelope may add to a payload: its longest names and ids, and some reserve.
const ENVELOPE_BYTES_MAX: usize = 16 * 1024;

/// Limits of every listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest request body; a larger one is answered 413.
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
        Self { body_bytes_max: self.body_bytes_max.saturating_add(ENVELOPE_BYTES_MAX), ..self.clone() }
    }

    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }
}
