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
