//! Limits that every listener has.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::ENVELOPE_BYTES_MAX;

/// Bytes that may surround a payload: its envelope, that of a message which carries it to or from the security service, and
/// that of the notice which brings it back.
const AROUND_PAYLOAD_BYTES_MAX: usize = 3 * ENVELOPE_BYTES_MAX;

/// Networks that nobody connects from over the internet: a proxy in front of a listener does.
const PRIVATE_NETWORKS: [&str; 7] =
    ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7", "fe80::/10"];

/// Limits of every listener, the hosts that they answer to, and what they believe of the proxies in front of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest request body, and so the largest payload of a message on every bus; a larger one is answered 413.
    pub body_bytes_max: usize,
    /// Maximum bytes of all bodies and WebSocket frames that one listener is reading; while they are reached, further ones are
    /// answered 503. At least one body of the largest size fits.
    pub bodies_bytes_max: usize,
    /// Maximum bytes of a request's head, and of what is read at once from a connection; a larger head is answered 431. So is one
    /// with more than 100 headers.
    pub head_bytes_max: usize,
    /// Timeout for receiving a body; then 408.
    pub body_timeout_ms: u64,
    /// Timeout for receiving request headers; then the connection is closed.
    pub header_timeout_ms: u64,
    /// Time for which a write may make no progress; then the connection is closed.
    pub write_timeout_ms: u64,
    /// Maximum number of open connections per listener. Requests of further ones are refused with 503, except those for
    /// operators.
    pub connections_max: usize,
    /// Hosts that listeners on loopback addresses answer to besides `localhost` and loopback addresses, with their port or for all
    /// ports; `*` stands for all. If there are any, listeners on other addresses answer to these, to this machine's and to
    /// addresses only.
    pub hosts: Vec<String>,
    /// Maximum number of open connections of one client per listener, of one network /64 with IPv6; further ones are refused.
    /// Trusted proxies may have more.
    pub connections_per_address_max: usize,
    /// Networks and addresses of proxies whose `Forwarded` and `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1024 * 1024,
            bodies_bytes_max: 64 * 1024 * 1024,
            head_bytes_max: 32 * 1024,
            body_timeout_ms: 10_000,
            header_timeout_ms: 30_000,
            write_timeout_ms: 30_000,
            connections_max: 16_384,
            hosts: Vec::new(),
            connections_per_address_max: 1_024,
            trusted_proxies: PRIVATE_NETWORKS.map(str::to_owned).to_vec(),
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
