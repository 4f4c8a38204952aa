//! Settings of the service-facing listener.

use serde::{Deserialize, Serialize};

/// `[api]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the service calls its sidecar. Loopback unless told otherwise: there is no authentication.
    pub address: String,
    /// What the body of `POST /send/{message}` is.
    pub envelope: Envelope,
}

impl Default for Config {
    fn default() -> Self {
        Self { address: "127.0.0.1:4001".into(), envelope: Envelope::Plain }
    }
}

/// What the body of `POST /send/{message}` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Envelope {
    /// The payload itself; correlation travels in headers.
    Plain,
    /// The HTTP-era body `{"sender","id","payload","responseTo"}`, answered 200 with an empty body: a service of that
    /// era takes this port for ExoCom's.
    Exocom,
}
