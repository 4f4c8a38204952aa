//! Settings of the webhook.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::http::ClientLimits;

/// `[webhook]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The service's base URL; messages go to `{forward}/run/{message}`. Empty: there is no webhook.
    pub forward: String,
    /// How a message is put into the request.
    pub format: Format,
    /// Signs every request by Standard Webhooks when set: `whsec_` and 24 to 64 bytes in base64.
    pub secret: String,
    /// How long a connection to the service may take to open.
    pub connect_timeout_ms: u64,
    /// How long one call may take before it counts as failed.
    pub timeout_ms: u64,
    /// How long one message is tried; then it becomes a dead letter.
    pub deadline_ms: u64,
    /// The longest wait between two tries, unless the service asks for more.
    pub retry_wait_max_ms: u64,
    /// Calls to the service that may run at once.
    pub concurrent_max: usize,
    /// Longest answer that is read.
    pub answer_bytes_max: usize,
    /// Failures in a row after which calls stop until a probe succeeds. 0 switches the breaker off.
    pub breaker_failures: u32,
    /// How long calls stop before the first probe; each failed probe doubles it.
    pub breaker_open_ms: u64,
    /// How long calls stop before the next probe at most.
    pub breaker_open_max_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            forward: String::new(),
            format: Format::Exocom,
            secret: String::new(),
            connect_timeout_ms: 2_000,
            timeout_ms: 10_000,
            deadline_ms: 120_000,
            retry_wait_max_ms: 10_000,
            concurrent_max: 64,
            answer_bytes_max: 1024 * 1024,
            breaker_failures: 5,
            breaker_open_ms: 2_000,
            breaker_open_max_ms: 30_000,
        }
    }
}

impl Config {
    pub(super) fn client_limits(&self) -> ClientLimits {
        ClientLimits {
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
            timeout: Duration::from_millis(self.timeout_ms),
            answer_bytes_max: self.answer_bytes_max,
        }
    }

    pub(super) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    pub(super) fn retry_wait_max(&self) -> Duration {
        Duration::from_millis(self.retry_wait_max_ms)
    }

    pub(super) fn breaker_open(&self) -> Duration {
        Duration::from_millis(self.breaker_open_ms)
    }

    pub(super) fn breaker_open_max(&self) -> Duration {
        Duration::from_millis(self.breaker_open_max_ms)
    }
}

/// How a message is put into the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The ExoCom envelope as JSON body.
    Exocom,
    /// CloudEvents 1.0, HTTP binding, binary mode: the body is the payload, the rest travels in `ce-` headers.
    Cloudevents,
}
