//! Settings of the broker.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::Role;

/// `[broker]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the broker listens.
    pub address: String,
    /// Behave as the original of the HTTP era where ours is better: see `features/broker/compat.feature`.
    pub compat: bool,
    /// Print one line per delivery on stdout.
    pub log_messages: bool,
    /// Print the payload below that line. Payloads may hold secrets.
    pub log_payloads: bool,
    /// How long a service that registered itself stays registered without a sign of life.
    pub lease_ms: u64,
    /// How long after its start a broker keeps messages that nobody receives yet, since services may still have to
    /// register again. 0 refuses them at once.
    pub settle_ms: u64,
    /// How long delivery of one message is tried; then it is reported as undelivered.
    pub delivery_window_ms: u64,
    /// Messages that may wait for one instance; more are refused.
    pub queue_messages_max: usize,
    /// Payload bytes that may wait for all instances together; more are refused. No queue gets more than it leaves to all
    /// others together.
    pub queue_bytes_max: usize,
    /// Messages that one delivery to one of our relays may carry.
    pub batch_messages_max: usize,
    /// Payload bytes that one delivery of several messages may carry; a single message may have more.
    pub batch_bytes_max: usize,
    /// How long one delivery may take before it counts as failed.
    pub delivery_timeout_ms: u64,
    /// The longest wait between two tries of one delivery.
    pub retry_wait_max_ms: u64,
    /// The longest frame of a WebSocket; whoever sends a longer one is disconnected with the code 1009.
    pub frame_bytes_max: usize,
    /// After how long without a sign of life a WebSocket is asked for one; after three times that it is closed.
    pub heartbeat_ms: u64,
    /// Hosts whose web pages may open a WebSocket, besides the broker's own. `*` allows all.
    pub origins: Vec<String>,
    /// Conversations whose participants are remembered, so that answers find the instance that asked.
    pub conversations_max: usize,
    /// How long a conversation without messages is remembered.
    pub conversation_idle_ms: u64,
    /// Services the landscape may hold, instances counted one by one.
    pub instances_max: usize,
    /// What happens to messages while a landscape has the role `security` and no such service is there.
    pub security_absent: SecurityAbsent,
    /// How long a message waits for the security service to judge it; then it is refused.
    pub security_hold_ms: u64,
    /// Messages that may wait to be judged; more are refused as busy.
    pub security_held_max: usize,
    /// `ROLE=TOKEN` each: what a service has to show to register under the role, and to send under its name.
    pub tokens: Vec<String>,
    /// Undelivered messages that are kept for `GET /undelivered`.
    pub undelivered_max: usize,
}

/// What happens to messages while nobody can judge them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecurityAbsent {
    /// They wait for the security service, and are refused when that takes too long.
    Hold,
    /// They are refused at once.
    Refuse,
    /// They pass unjudged.
    Allow,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:3100".into(),
            compat: false,
            log_messages: false,
            log_payloads: false,
            lease_ms: 10_000,
            settle_ms: 5_000,
            delivery_window_ms: 30_000,
            queue_messages_max: 4_096,
            queue_bytes_max: 256 * 1024 * 1024,
            batch_messages_max: 256,
            batch_bytes_max: 512 * 1024,
            delivery_timeout_ms: 10_000,
            retry_wait_max_ms: 2_000,
            frame_bytes_max: 16 * 1024 * 1024,
            heartbeat_ms: 5_000,
            origins: Vec::new(),
            conversations_max: 65_536,
            conversation_idle_ms: 60_000,
            instances_max: 16_384,
            security_absent: SecurityAbsent::Hold,
            security_hold_ms: 10_000,
            security_held_max: 4_096,
            tokens: Vec::new(),
            undelivered_max: 1_000,
        }
    }
}

impl Config {
    /// The tokens by role. Errors: the entry that is not `ROLE=TOKEN`.
    pub(crate) fn token_of_role(&self) -> Result<HashMap<Role, String>, String> {
        let entry = |entry: &String| {
            let (role, token) = entry.split_once('=').filter(|(_, token)| !token.is_empty())?;
            Some((Role::parse(role).ok()?, token.to_owned()))
        };
        self.tokens.iter().map(|text| entry(text).ok_or_else(|| text.clone())).collect()
    }

    pub(crate) fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }

    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }

    pub(crate) fn security_hold(&self) -> Duration {
        Duration::from_millis(self.security_hold_ms)
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    pub(crate) fn delivery_window(&self) -> Duration {
        Duration::from_millis(self.delivery_window_ms)
    }

    pub(crate) fn delivery_timeout(&self) -> Duration {
        Duration::from_millis(self.delivery_timeout_ms)
    }

    pub(crate) fn retry_wait_max(&self) -> Duration {
        Duration::from_millis(self.retry_wait_max_ms)
    }

    pub(crate) fn conversation_idle(&self) -> Duration {
        Duration::from_millis(self.conversation_idle_ms)
    }
}
