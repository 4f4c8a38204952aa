//! Webhook settings.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::http::{ClientLimits, debug_without_secrets};

/// The `[webhook]` section of the configuration.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Base URL of the service; messages are posted to `{forward}/run/{message}`. Empty: no webhook.
    pub forward: String,
    /// Request format.
    pub format: Format,
    /// Standard Webhooks signing secrets: each `whsec_` followed by 24 to 64 bytes in base64. Every request gets a signature of
    /// each, so that one can replace another. Empty: requests are not signed. A single text is read as a list of one.
    #[serde(deserialize_with = "one_or_list")]
    pub secret: Vec<String>,
    /// File with these secrets, one in a line. The commands read it into `secret`; empty: none.
    pub secret_file: String,
    /// Timeout for opening a connection to the service.
    pub connect_timeout_ms: u64,
    /// Timeout of one call.
    pub timeout_ms: u64,
    /// Maximum time to deliver one message, retries included; then it becomes a dead letter.
    pub deadline_ms: u64,
    /// Maximum wait between two attempts, unless the service asks for more. It never waits beyond the deadline.
    pub retry_wait_max_ms: u64,
    /// Maximum number of concurrent calls to the service; further messages wait.
    pub concurrent_max: usize,
    /// Maximum size of an answer; the body of a longer one is not read.
    pub answer_bytes_max: usize,
    /// Maximum number of replies in one answer; the message of an answer with more becomes a dead letter.
    pub answer_replies_max: usize,
    /// Consecutive failures after which calls pause until a probe succeeds. 0 disables the breaker.
    pub breaker_failures: u32,
    /// Pause before the first probe; each failed probe doubles it.
    pub breaker_open_ms: u64,
    /// Maximum pause before a probe. When the service answers again after it did not, calls resume at once.
    pub breaker_open_max_ms: u64,
    /// Time without an answer to any of the calls that run, after which the service counts as away until it answers one.
    pub hang_ms: u64,
    /// True if this process starts the service, and again when it has ended: the service is not called to find out if it
    /// answers. No setting.
    #[serde(skip)]
    pub is_supervised: bool,
}

impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_without_secrets(formatter, self, &["secret"])
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            forward: String::new(),
            format: Format::Exocom,
            secret: Vec::new(),
            secret_file: String::new(),
            connect_timeout_ms: 2_000,
            timeout_ms: 10_000,
            deadline_ms: 120_000,
            retry_wait_max_ms: 10_000,
            concurrent_max: 64,
            answer_bytes_max: 1024 * 1024,
            answer_replies_max: 1_000,
            breaker_failures: 5,
            breaker_open_ms: 2_000,
            breaker_open_max_ms: 30_000,
            hang_ms: 5_000,
            is_supervised: false,
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

    pub(super) fn hang(&self) -> Duration {
        Duration::from_millis(self.hang_ms)
    }

    pub(super) fn breaker_open_max(&self) -> Duration {
        Duration::from_millis(self.breaker_open_max_ms)
    }
}

/// Reads a list of texts, or one; an empty text is an empty list.
fn one_or_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        One(String),
        List(Vec<String>),
    }
    Ok(match Form::deserialize(deserializer)? {
        Form::One(text) if text.is_empty() => Vec::new(),
        Form::One(text) => vec![text],
        Form::List(texts) => texts,
    })
}

/// Format of the requests to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The ExoCom envelope as a JSON body.
    Exocom,
    /// CloudEvents 1.0, HTTP binding, binary mode: the body is the payload, everything else is in `ce-` headers.
    Cloudevents,
}
