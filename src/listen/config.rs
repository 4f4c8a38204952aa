//! Settings of the bus-facing listener.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::http::debug_without_secrets;

/// `[listen]` of the configuration.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address that the broker delivers to. For brokers in other containers or on other hosts, 0.0.0.0.
    pub address: String,
    /// Origins whose pages may call; `*` allows all.
    pub cors_origins: Vec<String>,
    /// Time at which a delivery is answered.
    pub answer: Answer,
    /// Token that the broker has to present; empty for none.
    pub token: String,
    /// File with that token; empty for none.
    pub token_file: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:4000".into(),
            cors_origins: Vec::new(),
            answer: Answer::Accepted,
            token: String::new(),
            token_file: String::new(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_without_secrets(formatter, self, &["token"])
    }
}

impl Config {
    /// Returns true if deliveries need a token.
    pub fn has_token(&self) -> bool {
        !self.token.is_empty() || !self.token_file.is_empty()
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
