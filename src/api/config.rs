//! Settings of the service-facing listener.

use serde::{Deserialize, Serialize};

/// `[api]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address on which the service reaches its sidecar, or `unix:PATH`. Loopback by default.
    pub address: String,
    /// Origins whose pages may call; `*` allows all.
    pub cors_origins: Vec<String>,
    /// Permissions of the Unix socket, if the address is one: octal digits as for chmod.
    pub socket_mode: String,
    /// Serve over TLS only.
    pub tls: bool,
    /// Format of the body of `POST /send/{message}`.
    pub envelope: Envelope,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:4001".into(),
            socket_mode: "0600".into(),
            tls: false,
            cors_origins: Vec::new(),
            envelope: Envelope::Plain,
        }
    }
}

impl Config {
    /// Returns the permissions of the Unix socket; those for its owner alone if the text is not octal.
    pub(crate) fn socket_mode(&self) -> u32 {
        u32::from_str_radix(&self.socket_mode, 8).unwrap_or(0o600)
    }
}

/// Format of the body of `POST /send/{message}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Envelope {
    /// The payload; correlation is in headers.
    Plain,
    /// The HTTP-era body `{"sender","id","payload","responseTo"}`, answered 200 with an empty body. For services of that
    /// era, which expect ExoCom on this port.
    Exocom,
}
