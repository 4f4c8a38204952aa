//! Settings of the relay.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::memory::Budget;
use crate::message::{MessageName, Role, optional};

/// `[relay]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Role of this service on the bus.
    #[serde(with = "optional")]
    pub role: Option<Role>,
    /// Messages it receives, under the names it uses itself.
    pub receives: Vec<MessageName>,
    /// Messages it sends. The broker shows them; only a landscape permits or forbids.
    pub sends: Vec<MessageName>,
    /// Prefix that a generic service uses for its own messages, such as `mongo`; empty for none.
    pub namespace: String,
    /// Default timeout of a request.
    pub request_timeout_ms: u64,
    /// Maximum number of requests that wait for replies; further ones are refused as busy.
    pub waiters_max: usize,
    /// Maximum number of messages that wait for the bus; further ones are refused as busy. As many replies wait besides.
    pub outbox_messages_max: usize,
    /// Maximum bytes of these messages; further ones are refused as busy. As many of replies wait besides.
    pub outbox_bytes_max: usize,
    /// Time after which a message that still waits is reported as a problem by `/ready`; 0 for never.
    pub ready_wait_max_ms: u64,
    /// Maximum number of messages in one call to our broker.
    pub batch_messages_max: usize,
    /// Maximum number of incoming messages in handlers or waiting for one; further ones are refused as busy.
    pub inbox_messages_max: usize,
    /// Maximum bytes of incoming messages in handlers or waiting for one, and as many of those that wait for subscribers or
    /// their acknowledgement; further ones are refused as busy.
    pub inbox_bytes_max: usize,
    /// Maximum number of concurrent handlers and webhook calls. 1 keeps the order of arrival.
    pub handlers_concurrent_max: usize,
    /// Number of message ids that are remembered to recognise duplicates; the oldest is dropped first.
    pub seen_messages_max: usize,
    /// Time for which message ids are remembered, and at least those that have an idempotency key.
    pub seen_window_ms: u64,
    /// Maximum number of received messages with an idempotency key, each remembered for as long as its sender may repeat it;
    /// further ones are refused as busy.
    pub seen_keys_max: usize,
    /// Maximum number of idempotency keys within their window; further ones are refused as busy.
    pub idempotency_keys_max: usize,
    /// Time for which idempotency keys are remembered.
    pub idempotency_window_ms: u64,
    /// Maximum bytes of the replies that are remembered under idempotency keys; a call whose further replies do not fit ends
    /// as busy.
    pub idempotency_bytes_max: usize,
    /// Maximum bytes of the replies that wait for a requester who reads them one after the other; a further one is refused
    /// and comes again.
    pub replies_bytes_max: usize,
    /// Maximum number of dead letters; at the limit the oldest is dropped.
    pub dead_letters_max: usize,
    /// Maximum bytes of dead letters; at the limit the oldest are dropped. The latest one is kept, whatever its size.
    pub dead_letters_bytes_max: usize,
    /// Maximum number of messages that a subscriber of `GET /messages` has without having acknowledged them; the others
    /// wait for it or for other subscribers.
    pub subscriber_unacknowledged_max: usize,
    /// Time that a subscriber of `GET /messages` has to acknowledge a message before it is delivered again. Starts again
    /// when it acknowledges one that it got before.
    pub subscriber_lease_ms: u64,
    /// Number of deliveries to subscribers after which an unacknowledged message becomes a dead letter.
    pub subscriber_deliveries_max: u32,
    /// Maximum wait between two attempts to reach the bus.
    pub retry_wait_max_ms: u64,
    /// Memory for the queues of all relays and brokers that have this budget; while it is used up, messages are refused as
    /// busy. The commands set it to `memory.queues_bytes_max`.
    #[serde(skip)]
    pub memory: Budget,
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
            outbox_bytes_max: 32 * 1024 * 1024,
            ready_wait_max_ms: 30_000,
            batch_messages_max: 256,
            inbox_messages_max: 4_096,
            inbox_bytes_max: 32 * 1024 * 1024,
            handlers_concurrent_max: 256,
            seen_messages_max: 16_384,
            seen_window_ms: 600_000,
            seen_keys_max: 65_536,
            idempotency_keys_max: 8_192,
            idempotency_window_ms: 600_000,
            idempotency_bytes_max: 32 * 1024 * 1024,
            replies_bytes_max: 8 * 1024 * 1024,
            dead_letters_max: 1_000,
            dead_letters_bytes_max: 32 * 1024 * 1024,
            subscriber_unacknowledged_max: 16,
            subscriber_lease_ms: 30_000,
            subscriber_deliveries_max: 5,
            retry_wait_max_ms: 2_000,
            memory: Budget::default(),
        }
    }
}

impl Config {
    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// Returns the time after which a message that still waits is a problem; `None` for never.
    pub(crate) fn ready_wait_max(&self) -> Option<Duration> {
        (self.ready_wait_max_ms > 0).then(|| Duration::from_millis(self.ready_wait_max_ms))
    }

    pub(crate) fn retry_wait_max(&self) -> Duration {
        Duration::from_millis(self.retry_wait_max_ms)
    }
}
