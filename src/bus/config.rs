//! Settings of the way to the bus.

use serde::{Deserialize, Serialize};

/// `[bus]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `embedded`, or the URL of an ExoCom broker: `http://127.0.0.1:3100`, or `ws://127.0.0.1:3100` for one connection
    /// that carries everything both ways. `https` and `wss` are the same over TLS.
    pub url: String,
    /// Whether the relay registers itself. `off` for an original broker, which its environment configures.
    pub register: Register,
    /// `HOST:PORT` under which the broker reaches the bus-facing listener. Empty: the listener's own port, at the host
    /// that the broker sees the registration come from. Only for a broker over HTTP.
    pub advertise: String,
    /// What proves to the broker that this relay may have its role. Empty: nothing.
    pub token: String,
    /// How long a connection to the broker may take to open.
    pub connect_timeout_ms: u64,
    /// How long one call to the broker may take; over a WebSocket, how long what was sent may stay unanswered.
    pub timeout_ms: u64,
    /// After how long without a frame a WebSocket is asked for a sign of life. After two that stay away it is lost.
    pub heartbeat_ms: u64,
    /// How a WebSocket ends when the relay leaves.
    pub close: Close,
    /// Largest frame of a WebSocket, either way.
    pub frame_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:3100".into(),
            register: Register::Auto,
            advertise: String::new(),
            token: String::new(),
            connect_timeout_ms: 2_000,
            timeout_ms: 10_000,
            heartbeat_ms: 5_000,
            close: Close::Auto,
            frame_bytes_max: 16 * 1024 * 1024,
        }
    }
}

impl Config {
    /// Whether the broker is reached over a WebSocket, and so needs no listener of this relay.
    pub fn is_websocket(&self) -> bool {
        self.url.starts_with("ws://") || self.url.starts_with("wss://")
    }
}

/// Whether the relay tells the broker about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Register {
    /// It registers, keeps its lease, and leaves.
    Auto,
    /// Somebody else configures the broker. Over a WebSocket the relay still tells its role, as the originals do.
    Off,
}

/// How a WebSocket ends when the relay leaves. What was sent arrives in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Close {
    /// Politely with our own broker, abruptly with others.
    Auto,
    /// With a close frame, as RFC 6455 wants it.
    Polite,
    /// Without one: the original broker in Go ends when it gets one. exo 3.9.
    Abrupt,
}
