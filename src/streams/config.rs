//! Settings of the durable streams.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::Durability;

/// `[streams]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the streams are served. There is no authentication: loopback unless told otherwise.
    pub address: String,
    /// Where content is kept.
    pub store: Kept,
    /// The folder of the disk store.
    pub data_dir: String,
    /// When an append counts as written, with the disk store.
    pub durability: Durability,
    /// How the server is reached from outside, such as `https://streams.example.com`. Empty: as the request says.
    pub public_url: String,
    /// How long a long-poll waits for data.
    pub long_poll_timeout_ms: u64,
    /// How long one event stream lasts; the reader comes back where it was.
    pub sse_lifetime_ms: u64,
    /// How much one read returns; a single append may have more.
    pub read_bytes_max: usize,
    /// How much one event carries; a single append may have more.
    pub event_bytes_max: usize,
    /// Largest body of a `PUT` or `POST`; a longer one is answered 413.
    pub body_bytes_max: usize,
    /// Content of all streams together, in memory; more is refused. On disk, the disk is the bound.
    pub content_bytes_max: usize,
    /// How much stays free on the disk; with less, content is refused.
    pub disk_free_bytes_min: u64,
    /// Memory for what is read from the disk again and again.
    pub disk_cache_bytes_max: usize,
    /// Content that may wait to be written; more is refused as busy.
    pub waiting_bytes_max: usize,
    /// Streams there may be; more are refused.
    pub streams_max: usize,
    /// Producers that are remembered per stream; more are refused.
    pub producers_max: usize,
    /// How long a producer is remembered for certain.
    pub producer_idle_ms: u64,
    /// On how many streams a fork may stand.
    pub fork_segments_max: usize,
    /// Whether the stream `__registry__` tells which streams there are.
    pub registry: bool,
    /// Beginnings and ends that a listener of this process may be behind before it misses some.
    pub lifecycle_events_max: usize,
    /// Subscriptions there may be; more are refused.
    pub subscriptions_max: usize,
    /// Streams that one subscription may be linked to. Naming more is refused; more that its pattern fits are left out.
    pub subscriptions_links_max: usize,
    /// Streams that one wake tells of, those with something pending first; the others are told by the next wake.
    pub subscriptions_wake_streams_max: usize,
    /// Largest body of a control route; a longer one is answered 413.
    pub subscriptions_body_bytes_max: usize,
    /// Webhooks that may be called at once; others wait.
    pub subscriptions_deliveries_max: usize,
    /// How long one call of a webhook may take before it counts as failed.
    pub subscriptions_webhook_timeout_ms: u64,
    /// Longest answer of a webhook that is read; a longer one says nothing.
    pub subscriptions_answer_bytes_max: usize,
    /// The longest wait between two tries to wake somebody.
    pub subscriptions_retry_wait_max_ms: u64,
    /// Whether webhooks may go to `http://localhost` and `http://127.x.x.x`.
    pub subscriptions_webhook_loopback: bool,
    /// Networks (`10.1.0.0/16`) and hosts (`worker.internal`) that webhooks may go to although they are not public,
    /// over http, too.
    pub subscriptions_webhook_allowed: Vec<String>,
    /// How long the token of a wake is good for.
    pub subscriptions_token_ttl_ms: u64,
    /// How old a signing key gets before a new one takes its place.
    pub subscriptions_key_rotation_ms: u64,
    /// How long a signing key at least stays published after that.
    pub subscriptions_key_overlap_ms: u64,
    /// Whether caches between server and reader may keep what was read.
    pub cache: Cache,
    /// How long a cursor of the protocol stays the same.
    pub cursor_interval_ms: u64,
    /// Origins whose pages may use the streams. `*` is everybody.
    pub cors_origins: Vec<String>,
    /// Whether those pages may send credentials; not together with `*`.
    pub cors_credentials: bool,
    /// How long a browser remembers the answer to a preflight.
    pub cors_max_age_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:4437".into(),
            store: Kept::Memory,
            data_dir: String::new(),
            durability: Durability::Sync,
            public_url: String::new(),
            long_poll_timeout_ms: 30_000,
            sse_lifetime_ms: 60_000,
            read_bytes_max: 4 * 1024 * 1024,
            event_bytes_max: 256 * 1024,
            body_bytes_max: 16 * 1024 * 1024,
            content_bytes_max: 1024 * 1024 * 1024,
            disk_free_bytes_min: 128 * 1024 * 1024,
            disk_cache_bytes_max: 32 * 1024 * 1024,
            waiting_bytes_max: 256 * 1024 * 1024,
            streams_max: 2_000_000,
            producers_max: 16_384,
            producer_idle_ms: 7 * 24 * 60 * 60 * 1000,
            fork_segments_max: 256,
            registry: true,
            lifecycle_events_max: 1024,
            subscriptions_max: 1_000,
            subscriptions_links_max: 100_000,
            subscriptions_wake_streams_max: 1_000,
            subscriptions_body_bytes_max: 1024 * 1024,
            subscriptions_deliveries_max: 64,
            subscriptions_webhook_timeout_ms: 10_000,
            subscriptions_answer_bytes_max: 64 * 1024,
            subscriptions_retry_wait_max_ms: 60_000,
            subscriptions_webhook_loopback: true,
            subscriptions_webhook_allowed: Vec::new(),
            subscriptions_token_ttl_ms: 60 * 60 * 1000,
            subscriptions_key_rotation_ms: 90 * 24 * 60 * 60 * 1000,
            subscriptions_key_overlap_ms: 7 * 24 * 60 * 60 * 1000,
            cache: Cache::Public,
            cursor_interval_ms: 20_000,
            cors_origins: vec!["*".into()],
            cors_credentials: false,
            cors_max_age_ms: 600_000,
        }
    }
}

impl Config {
    pub(super) fn long_poll_timeout(&self) -> Duration {
        Duration::from_millis(self.long_poll_timeout_ms)
    }

    pub(super) fn sse_lifetime(&self) -> Duration {
        Duration::from_millis(self.sse_lifetime_ms)
    }
}

/// Where content is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kept {
    /// In memory: it ends with the process.
    Memory,
    /// On disk.
    Disk,
}

/// Which caches may keep what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// All of them.
    Public,
    /// The reader's own.
    Private,
    /// None.
    Off,
}
