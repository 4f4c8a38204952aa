//! Settings of the relay.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::{MessageName, Role, optional};

/// `[relay]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who this service is on the bus.
    #[serde(with = "optional")]
    pub role: Option<Role>,
    /// The messages it wants, in its own language.
    pub receives: Vec<MessageName>,
    /// The messages it sends. Told to the broker; what a role may send is for the landscape to say.
    pub sends: Vec<MessageName>,
    /// The prefix a generic service uses for its own messages, such as `mongo`; empty for none.
    pub namespace: String,
    /// How long a request waits for its reply unless told otherwise.
    pub request_timeout_ms: u64,
    /// Requests that may wait for replies at once; more are refused as busy.
    pub waiters_max: usize,
    /// Messages that may wait for the bus; more are refused as busy.
    pub outbox_messages_max: usize,
    /// Messages that one call to our broker may carry.
    pub batch_messages_max: usize,
    /// Incoming messages that may wait for a handler or be in one; more are refused as busy.
    pub inbox_messages_max: usize,
    /// Handlers and webhook calls that may run at once. 1 keeps the order of arrival.
    pub handlers_concurrent_max: usize,
    /// How many ids of received messages are remembered, so that a duplicate is not handled twice.
    pub seen_messages_max: usize,
    /// How long they are remembered.
    pub seen_window_ms: u64,
    /// How many idempotency keys are remembered.
    pub idempotency_keys_max: usize,
    /// How long they are remembered.
    pub idempotency_window_ms: u64,
    /// How many messages that could not be handled or sent are kept; the oldest gives way.
    pub dead_letters_max: usize,
    /// How long a subscriber of `GET /messages` has to acknowledge a message before it is given out again.
    pub subscriber_lease_ms: u64,
    /// How often a message is given out before it becomes a dead letter.
    pub subscriber_deliveries_max: u32,
    /// The longest wait between two tries to reach the bus.
    pub retry_wait_max_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            role: None,
            receives: Vec::new(),
            sends: Vec::new(),
            namespace: String::new(),
            request_timeout_ms: 30_000,
            waiters_max: 16_384,
            outbox_messages_max: 4_096,
            batch_messages_max: 256,
            inbox_messages_max: 4_096,
            handlers_concurrent_max: 256,
            seen_messages_max: 16_384,
            seen_window_ms: 120_000,
            idempotency_keys_max: 8_192,
            idempotency_window_ms: 600_000,
            dead_letters_max: 1_000,
            subscriber_lease_ms: 30_000,
            subscriber_deliveries_max: 5,
            retry_wait_max_ms: 2_000,
        }
    }
}

impl Config {
    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(crate) fn retry_wait_max(&self) -> Duration {
        Duration::from_millis(self.retry_wait_max_ms)
    }
}
