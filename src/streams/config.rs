//! Settings of the durable streams.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::http::OwnListeners;
use crate::store::Durability;

/// `[streams]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address of the listener. There is no authentication, so the default is a loopback address.
    pub address: String,
    /// Serve over TLS only.
    pub tls: bool,
    /// The store for streams and their content.
    pub store: StoreKind,
    /// The folder of the disk store.
    pub data_dir: String,
    /// When an append counts as durable in the disk store.
    pub durability: Durability,
    /// URL of the server for clients, such as `https://streams.example.com`. Receivers of webhooks call back there. If empty,
    /// `Location` is derived from the request, and receivers get `listener_url`.
    pub public_url: String,
    /// URL of the listener itself, for callers on this machine. Without it and without `public_url` there are no webhooks. The
    /// commands set it.
    #[serde(skip)]
    pub listener_url: String,
    /// The listeners of this process, which webhooks never go to. The commands set it.
    #[serde(skip)]
    pub own_listeners: OwnListeners,
    /// Maximum time that a long-poll waits for data.
    pub long_poll_timeout_ms: u64,
    /// Maximum duration of one event stream; the client then reconnects and continues where it was.
    pub sse_lifetime_ms: u64,
    /// Maximum bytes that one read returns; a single append may be larger. 0 for everything up to the end of the stream.
    pub read_bytes_max: usize,
    /// Maximum bytes of one event; a single append may be larger.
    pub event_bytes_max: usize,
    /// Maximum size of the body of a `PUT` or `POST`; a larger one is answered with 413.
    pub body_bytes_max: usize,
    /// Maximum bytes of content of all streams in the memory store; more is refused with 507. The disk store is bounded by
    /// `disk_free_bytes_min` only.
    pub content_bytes_max: usize,
    /// Free space to leave on the disk; content that needs it is refused with 507.
    pub disk_free_bytes_min: u64,
    /// Maximum memory of the cache for reads from the disk.
    pub disk_cache_bytes_max: usize,
    /// Maximum bytes of content that may wait to be written; more is refused with 503.
    pub waiting_bytes_max: usize,
    /// Maximum bytes that readers may hold together: content that was read from the disk, or encoded as events, and that they have
    /// not taken yet. Further ones wait, and get 503 after ten seconds.
    pub reading_bytes_max: usize,
    /// Maximum number of streams; more are refused with 507.
    pub streams_max: usize,
    /// Maximum bytes that all streams take besides their content, approximately: names, content types, lifetimes, producers,
    /// and rows of the registry. While it is reached, creating a stream is refused with 507; reads, deletions, and appends to
    /// existing streams go on.
    pub metadata_bytes_max: usize,
    /// Maximum number of producers that one stream remembers. Then the least recently used ones make space: if such a producer
    /// comes back, it is refused with 403 until it begins a new epoch, so that no request counts twice.
    pub producers_max: usize,
    /// Maximum bytes of the producers that one stream remembers.
    pub producers_bytes_max: usize,
    /// Time after which an idle producer is forgotten for good if there are too many.
    pub producer_idle_ms: u64,
    /// Maximum number of streams that hold parts of one fork; a deeper fork is refused with 409.
    pub fork_segments_max: usize,
    /// Keeps the stream `__registry__`, which lists all streams.
    pub registry: bool,
    /// Maximum time for which it keeps rows of streams that are gone, and rows that later ones replace. Then it is written again
    /// without them, and a reader at an offset from before gets 410 and starts again.
    pub registry_gone_ms: u64,
    /// Maximum bytes of such rows, unless the rows of existing streams are more; in the memory store also at most a sixteenth of
    /// `content_bytes_max`.
    pub registry_gone_bytes_max: usize,
    /// Maximum lifecycle events that a listener in this process may be behind; a slower one misses the oldest.
    pub lifecycle_events_max: usize,
    /// Maximum number of subscriptions; more are refused.
    pub subscriptions_max: usize,
    /// Maximum number of links that all subscriptions have together: streams that they name, and streams with something that
    /// they have not read. Half of it is shared out evenly. Naming more is refused; more that match a pattern are left out.
    pub subscriptions_links_max: usize,
    /// Maximum bytes of all subscriptions with their links, shared out in the same way.
    pub subscriptions_bytes_max: usize,
    /// Maximum number of streams in one wake, those with pending data first; the next wake has the others.
    pub subscriptions_wake_streams_max: usize,
    /// Maximum size of the body of a control route; a larger one is answered with 413.
    pub subscriptions_body_bytes_max: usize,
    /// Maximum number of webhooks called at the same time; others wait.
    pub subscriptions_deliveries_max: usize,
    /// Timeout of one webhook call.
    pub subscriptions_webhook_timeout_ms: u64,
    /// Maximum size of a webhook's answer; a larger one is ignored.
    pub subscriptions_answer_bytes_max: usize,
    /// Maximum wait between two attempts to deliver a wake.
    pub subscriptions_retry_wait_max_ms: u64,
    /// Allows webhooks to `http://localhost` and `http://127.x.x.x`, for development.
    pub subscriptions_webhook_loopback: bool,
    /// Networks (`10.1.0.0/16`) and hosts (`worker.internal`) that webhooks may call although they are not public; also
    /// over http.
    pub subscriptions_webhook_allowed: Vec<String>,
    /// Lifetime of the token of a wake.
    pub subscriptions_token_ttl_ms: u64,
    /// Age at which a signing key is replaced.
    pub subscriptions_key_rotation_ms: u64,
    /// Minimum time that a replaced signing key stays published.
    pub subscriptions_key_overlap_ms: u64,
    /// Caches that may store the answers to reads. They use one without asking only if it can never change.
    pub cache: Cache,
    /// Interval in which cursors of the protocol change.
    pub cursor_interval_ms: u64,
    /// Origins whose pages may use the streams; `*` allows all, `loopback` those of `localhost` and of loopback addresses.
    pub cors_origins: Vec<String>,
    /// Allows those pages to send credentials; ignored if all origins are allowed.
    pub cors_credentials: bool,
    /// Headers that those pages may send, besides those of the protocol; `*` allows all.
    pub cors_headers: Vec<String>,
    /// Time that a browser may cache the answer to a preflight.
    pub cors_max_age_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:4437".into(),
            tls: false,
            store: StoreKind::Memory,
            data_dir: String::new(),
            durability: Durability::Sync,
            public_url: String::new(),
            listener_url: String::new(),
            own_listeners: OwnListeners::default(),
            long_poll_timeout_ms: 30_000,
            sse_lifetime_ms: 60_000,
            read_bytes_max: 0,
            event_bytes_max: 256 * 1024,
            body_bytes_max: 16 * 1024 * 1024,
            content_bytes_max: 1024 * 1024 * 1024,
            disk_free_bytes_min: 128 * 1024 * 1024,
            disk_cache_bytes_max: 32 * 1024 * 1024,
            waiting_bytes_max: 64 * 1024 * 1024,
            reading_bytes_max: 48 * 1024 * 1024,
            streams_max: 2_000_000,
            metadata_bytes_max: 96 * 1024 * 1024,
            producers_max: 16_384,
            producers_bytes_max: 8 * 1024 * 1024,
            producer_idle_ms: 7 * 24 * 60 * 60 * 1000,
            fork_segments_max: 256,
            registry: true,
            registry_gone_ms: 24 * 60 * 60 * 1000,
            registry_gone_bytes_max: 4 * 1024 * 1024,
            lifecycle_events_max: 1024,
            subscriptions_max: 1_000,
            subscriptions_links_max: 100_000,
            subscriptions_bytes_max: 48 * 1024 * 1024,
            subscriptions_wake_streams_max: 1_000,
            subscriptions_body_bytes_max: 1024 * 1024,
            subscriptions_deliveries_max: 64,
            subscriptions_webhook_timeout_ms: 10_000,
            subscriptions_answer_bytes_max: 64 * 1024,
            subscriptions_retry_wait_max_ms: 60_000,
            subscriptions_webhook_loopback: false,
            subscriptions_webhook_allowed: Vec::new(),
            subscriptions_token_ttl_ms: 60 * 60 * 1000,
            subscriptions_key_rotation_ms: 90 * 24 * 60 * 60 * 1000,
            subscriptions_key_overlap_ms: 7 * 24 * 60 * 60 * 1000,
            cache: Cache::Private,
            cursor_interval_ms: 20_000,
            cors_origins: vec!["loopback".into()],
            cors_credentials: false,
            cors_headers: vec!["*".into()],
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

    /// Returns the URL that others are given to call this server, without a slash at its end; `None` if it is not known. It never
    /// comes from a request, whose sender would choose it.
    pub(super) fn callback_url(&self) -> Option<&str> {
        let known = [&self.public_url, &self.listener_url].into_iter().find(|url| !url.is_empty());
        known.map(|url| url.trim_end_matches('/'))
    }
}

/// The kind of store for streams and their content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// In memory: content is lost when the process ends.
    Memory,
    /// On disk.
    Disk,
}

/// Caches that may store the answers to reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// All caches.
    Public,
    /// Only the client's own.
    Private,
    /// No caches.
    Off,
}
