//! Descriptions of the settings of the edge and of streams.

/// Keys and their descriptions, in the order of the reference.
pub(super) const KEYS: &[(&str, &str)] = &[
    (
        "edge.address",
        "Listen address for browsers, agents and other clients outside the bus: Durable Streams at `/v1/stream/`, configured in `[streams]`. Not set: `exorelay run` has no edge, `exorelay dev` uses 127.0.0.1:4002. On another address than loopback it needs rules or tokens, see `[access]`.",
    ),
    ("edge.tls", "Serve it over TLS only, with the certificate of `[tls]`."),
    (
        "streams.address",
        "Listen address of `exorelay streams`. On another address than loopback it needs rules or tokens, see `[access]`.",
    ),
    ("streams.tls", "Serve it over TLS only, with the certificate of `[tls]`."),
    (
        "streams.store",
        "`memory`: streams are lost when the process ends. `disk`: they are stored in `streams.data_dir`.",
    ),
    (
        "streams.data_dir",
        "Folder of the disk store, for one process at a time. If it is set, `streams.store` defaults to `disk`.",
    ),
    (
        "streams.durability",
        "When the disk store acknowledges an append. `sync`: when it is on disk; nothing is lost in a power failure. `interval 10ms`: when the operating system has it; it is synced to disk within that time. `memory`: when the operating system has it. With all three, nothing is lost when the process is killed.",
    ),
    (
        "streams.public_url",
        "URL under which clients and the receivers of webhooks reach the streams, such as `https://streams.example.com`. Required if the listener is not on loopback. Not set: receivers get the address of the listener, and `Location` is taken from each request.",
    ),
    ("streams.long_poll_timeout_ms", "Maximum wait of a long-poll for data."),
    ("streams.sse_lifetime_ms", "Lifetime of one event-stream connection; the client then reconnects and resumes."),
    ("streams.read_bytes_max", "Maximum bytes of one read; one append may be larger. 0: everything up to the end."),
    ("streams.event_bytes_max", "Maximum bytes in one event; a single append may be larger."),
    ("streams.body_bytes_max", "Maximum body of a `PUT` or `POST`; a longer one is answered 413."),
    (
        "streams.content_bytes_max",
        "Maximum content of all streams together in the memory store; more is refused with 507.",
    ),
    (
        "streams.disk_free_bytes_min",
        "Minimum free space on the disk of the disk store; below it, content is refused with 507.",
    ),
    ("streams.disk_cache_bytes_max", "Maximum memory for the disk store's read cache."),
    ("streams.waiting_bytes_max", "Maximum content waiting to be written; more is refused as busy."),
    (
        "streams.reading_bytes_max",
        "Maximum content, read from the disk or encoded as events, that readers have not taken yet; more readers wait, then get 503.",
    ),
    ("streams.streams_max", "Maximum number of streams; more are refused with 507."),
    (
        "streams.metadata_bytes_max",
        "Maximum bytes of names, content types, lifetimes, producers and registry rows of all streams. Beyond it, creating a stream is refused with 507; everything else goes on.",
    ),
    (
        "streams.producers_max",
        "Maximum producers to remember per stream. Then the least recently used make space; one that comes back is refused with 403 until it begins a new epoch.",
    ),
    ("streams.producers_bytes_max", "Maximum bytes of the producers to remember per stream."),
    ("streams.producer_idle_ms", "Time after which an idle producer makes space without a trace."),
    ("streams.fork_segments_max", "Maximum streams that a fork shares content with; deeper forks are refused."),
    ("streams.registry", "Maintain the stream `__registry__`, which lists all streams. If it is false, it is removed."),
    (
        "streams.registry_gone_ms",
        "Time after which rows of gone streams leave it; a reader that is behind then gets 410.",
    ),
    (
        "streams.registry_gone_bytes_max",
        "Maximum size of such rows; beyond it, and the size of the others, they leave.",
    ),
    (
        "streams.lifecycle_events_max",
        "Maximum lifecycle events buffered for a listener in Rust; a slower listener misses the oldest.",
    ),
    ("streams.subscriptions_max", "Maximum number of subscriptions; more are refused with 507."),
    (
        "streams.subscriptions_links_max",
        "Maximum links of all subscriptions together: streams that they name, and streams with something unread. Half of it is shared out evenly. Naming more is refused with 507; unread streams beyond it are not announced, which is logged.",
    ),
    ("streams.subscriptions_bytes_max", "Maximum bytes of all subscriptions with their links, shared out likewise."),
    (
        "streams.subscriptions_wake_streams_max",
        "Maximum streams listed in one wake, those with pending data first; the rest are in the next wake.",
    ),
    (
        "streams.subscriptions_body_bytes_max",
        "Maximum body of a control route below `__ds`; a longer one is answered 413.",
    ),
    ("streams.subscriptions_deliveries_max", "Maximum concurrent webhook calls of subscriptions; more wait."),
    ("streams.subscriptions_webhook_timeout_ms", "Timeout for one webhook call; then it counts as failed."),
    ("streams.subscriptions_answer_bytes_max", "Maximum length of a webhook's answer; a longer one is ignored."),
    (
        "streams.subscriptions_retry_wait_max_ms",
        "Maximum wait between two webhook attempts; the wait starts at one second and doubles, with 20 % jitter.",
    ),
    (
        "streams.subscriptions_webhook_loopback",
        "Allow webhooks to `http://localhost` and `http://127.x.x.x`, for development. `exorelay dev`: true. Never to a listener of this process.",
    ),
    (
        "streams.subscriptions_webhook_allowed",
        "Private networks (`10.1.0.0/16`) and hosts (`worker.internal`) that webhooks may also call, even over http. All other webhooks must use https and connect to a public address.",
    ),
    ("streams.subscriptions_token_ttl_ms", "Lifetime of a wake token."),
    ("streams.subscriptions_key_rotation_ms", "Age at which the key that signs webhooks is replaced by a new one."),
    (
        "streams.subscriptions_key_overlap_ms",
        "Minimum time for which the previous key stays published; it is removed at the next rotation after that.",
    ),
    ("streams.cache", "Caches that may store reads. `public`: all. `private`: only the client's own. `off`: none."),
    ("streams.cursor_interval_ms", "Time after which the cursor that prevents stale cached answers changes."),
    (
        "streams.cors_origins",
        "Origins such as `https://app.example` whose pages may use the streams, here and on the edge. `loopback`: those of `localhost` and of loopback addresses, with any port. `*` allows all.",
    ),
    ("streams.cors_credentials", "Allow pages of these origins to send credentials; has no effect together with `*`."),
    ("streams.cors_headers", "Headers that these pages may send besides those of the protocol. `*` allows all."),
    ("streams.cors_max_age_ms", "Time for which browsers may cache a preflight answer."),
];
