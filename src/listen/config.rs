//! Settings of the bus-facing listener.

use serde::{Deserialize, Serialize};

/// `[listen]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address that the broker delivers to. For brokers in other containers or on other hosts, 0.0.0.0.
    pub address: String,
    /// Origins whose pages may call; `*` allows all.
    pub cors_origins: Vec<String>,
    /// Time at which a delivery is answered.
    pub answer: Answer,
}

impl Default for Config {
    fn default() -> Self {
        Self { address: "127.0.0.1:4000".into(), cors_origins: Vec::new(), answer: Answer::Accepted }
    }
}

/// Time at which a delivery is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Once the message is accepted; the handler runs afterwards.
    Accepted,
    /// After the handler, as in the HTTP-era implementations; 500 if it fails.
    Handled,
}
