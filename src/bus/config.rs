//! Bus settings.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::http::debug_without_secrets;

/// The `[bus]` section of the configuration.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `embedded`, or the URL of an ExoCom broker: `http://127.0.0.1:3100`, or `ws://127.0.0.1:3100` for one connection
    /// that carries everything in both directions. `https` and `wss` use TLS.
    pub url: String,
    /// Registration mode. `off` for an original broker, which is configured by its environment.
    pub register: Register,
    /// `HOST:PORT` under which an HTTP broker reaches the bus-facing listener. Empty: the listener's port at the address
    /// that the registration comes from.
    pub advertise: String,
    /// Token that authorizes this relay for its role. Empty: no token.
    pub token: String,
    /// File with the token. The commands read it into `token`; empty: none.
    pub token_file: String,
    /// Timeout for opening a connection to the broker.
    pub connect_timeout_ms: u64,
    /// Timeout of one call to the broker; over a WebSocket, maximum time until a sent message is answered.
    pub timeout_ms: u64,
    /// Silence after which a WebSocket is pinged. After two unanswered pings the connection counts as lost.
    pub heartbeat_ms: u64,
    /// Close mode of a WebSocket when the relay leaves.
    pub close: Close,
    /// Maximum size of a WebSocket frame in either direction; a relay uses more if its largest payload needs it.
    pub frame_bytes_max: usize,
}

impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_without_secrets(formatter, self, &["token"])
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:3100".into(),
            register: Register::Auto,
            advertise: String::new(),
            token: String::new(),
            token_file: String::new(),
            connect_timeout_ms: 2_000,
            timeout_ms: 10_000,
            heartbeat_ms: 5_000,
            close: Close::Auto,
            frame_bytes_max: 16 * 1024 * 1024,
        }
    }
}

impl Config {
    /// Returns true if the broker is reached over a WebSocket, so that this relay needs no listener.
    pub fn is_websocket(&self) -> bool {
        self.url.starts_with("ws://") || self.url.starts_with("wss://")
    }
}

/// Registration mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Register {
    /// The relay registers, renews its lease, and leaves.
    Auto,
    /// The broker is configured separately. Over a WebSocket the relay still announces its role, as the originals do.
    Off,
}

/// Close mode of a WebSocket when the relay leaves. Everything sent before arrives in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Close {
    /// `Polite` with our own broker, `Abrupt` with others.
    Auto,
    /// With a close frame, as RFC 6455 requires.
    Polite,
    /// Without a close frame, since the original Go broker exits when it receives one. exo 3.9.
    Abrupt,
}
