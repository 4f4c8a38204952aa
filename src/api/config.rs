//! Settings of the service-facing listener.

use serde::{Deserialize, Serialize};

/// `[api]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address on which the service reaches its sidecar. Loopback by default.
    pub address: String,
    /// Origins whose pages may call; `*` allows all.
    pub cors_origins: Vec<String>,
    /// Format of the body of `POST /send/{message}`.
    pub envelope: Envelope,
}

impl Default for Config {
    fn default() -> Self {
        Self { address: "127.0.0.1:4001".into(), cors_origins: Vec::new(), envelope: Envelope::Plain }
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
