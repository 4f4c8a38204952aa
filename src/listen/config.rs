//! Settings of the bus-facing listener.

use serde::{Deserialize, Serialize};

/// `[listen]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the broker delivers. Containers and other hosts want 0.0.0.0.
    pub address: String,
    /// When a delivery is answered.
    pub answer: Answer,
}

impl Default for Config {
    fn default() -> Self {
        Self { address: "127.0.0.1:4000".into(), answer: Answer::Accepted }
    }
}

/// When a delivery is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// As soon as the message has its place; the handler runs behind the answer.
    Accepted,
    /// After the handler, as the originals of the HTTP era have it: 500 when it fails.
    Handled,
}
