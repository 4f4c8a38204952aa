//! Settings of the way to the bus.

use serde::{Deserialize, Serialize};

/// `[bus]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `embedded`, or the URL of an ExoCom broker such as `http://127.0.0.1:3100`.
    pub url: String,
    /// Whether the relay registers itself. `off` for an original broker, which its environment configures.
    pub register: Register,
    /// `HOST:PORT` under which the broker reaches the bus-facing listener. Empty: the listener's own port, at the host
    /// that the broker sees the registration come from.
    pub advertise: String,
    /// How long a connection to the broker may take to open.
    pub connect_timeout_ms: u64,
    /// How long one call to the broker may take.
    pub timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:3100".into(),
            register: Register::Auto,
            advertise: String::new(),
            connect_timeout_ms: 2_000,
            timeout_ms: 10_000,
        }
    }
}

/// Whether the relay tells the broker about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Register {
    /// It registers, keeps its lease, and leaves.
    Auto,
    /// Somebody else configures the broker.
    Off,
}
