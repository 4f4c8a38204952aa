//! Descriptions of the settings of the broker.

/// Keys and their descriptions, in the order of the reference.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("broker.address", "Listen address of the broker."),
    (
        "broker.tls",
        "Serve it over TLS only, with the certificate of `[tls]`: sidecars then use `https://` or `wss://` in `bus.url`. `exocom` never does.",
    ),
    ("broker.compat", "Behave like the original HTTP-era broker where this one differs."),
    ("broker.log_messages", "Print one line per delivery on stdout."),
    (
        "broker.log_payloads",
        "Print payloads below that line, and include them in `GET /traffic` on request. Payloads may contain secrets.",
    ),
    ("broker.lease_ms", "Time for which a self-registered service stays registered without renewing its lease."),
    (
        "broker.settle_ms",
        "Time after the start during which messages without a receiver are kept, because services may still have to register again. 0 refuses them at once.",
    ),
    ("broker.delivery_window_ms", "Time for all attempts to deliver one message; then it is reported as undelivered."),
    ("broker.queue_messages_max", "Maximum messages waiting for one instance; more are refused."),
    (
        "broker.queue_bytes_max",
        "Maximum payload bytes waiting for all instances together, and of messages waiting for the security service; more are refused. A single queue may not hold more than remains free.",
    ),
    (
        "broker.frame_bytes_max",
        "Maximum WebSocket frame, never less than `http.body_bytes_max` needs; a client that sends a longer one is disconnected, a relay of ours with code 1009. `exocom`: 64 MiB.",
    ),
    (
        "broker.registration_bytes_max",
        "Maximum registration of a service: the body of its call, answered 413 beyond it, or a frame of its WebSocket before it has registered, which is closed beyond it, with code 1009 if it is a relay of ours.",
    ),
    (
        "broker.registrations_bytes_max",
        "Maximum bytes of all registrations together, and of a landscape; more are refused as busy. Each name counts for its length and 128 bytes.",
    ),
    ("broker.register_timeout_ms", "Time within which a WebSocket client has to register; then it is disconnected."),
    (
        "broker.heartbeat_ms",
        "Idle time after which a WebSocket client is pinged; after three times this long without an answer it is disconnected.",
    ),
    (
        "broker.cors_origins",
        "Origins such as `https://app.example` whose pages may call the broker and open a WebSocket. `*` allows all.",
    ),
    (
        "broker.security_absent",
        "What happens to messages when the landscape has the role `security` but no such service is connected. `hold`: they wait, then are refused. `refuse`: they are refused at once. `allow`: they pass.",
    ),
    ("broker.security_hold_ms", "Time a message waits for the decision of the security service; then it is refused."),
    ("broker.security_held_max", "Maximum messages waiting for the security service; more are refused as busy."),
    (
        "broker.tokens",
        "`ROLE=TOKEN` entries: the token that is needed for everything in the name of the role: to register, to send, to leave. A role may have several, so that one can replace another; `*` stands for all roles without an entry. A token is plain, or `sha256:` and its digest in hexadecimal.",
    ),
    (
        "broker.operator_tokens",
        "Tokens of operators, plain or `sha256:` and their digests. Once this or `broker.tokens` has an entry, `POST /services`, `/traffic`, `/activities` and `/undelivered` need one of them. The command-line tools present the first plain one.",
    ),
    ("broker.operator_tokens_file", "File with these tokens, one in a line, instead of `broker.operator_tokens`."),
    (
        "broker.instance_networks",
        "Networks (`10.1.0.0/16`) in which services may listen that register or are posted; the broker calls no others, and never the metadata service of a cloud.",
    ),
    ("broker.tokens_file", "File with such entries, one in a line, instead of `broker.tokens`."),
    ("broker.batch_messages_max", "Maximum messages in one delivery to an exorelay relay."),
    (
        "broker.batch_bytes_max",
        "Maximum payload bytes in one delivery of several messages; a single message may be larger.",
    ),
    (
        "broker.deliveries_max",
        "Maximum number of simultaneous deliveries to one service that is not a relay of ours and listens for HTTP; more messages wait.",
    ),
    (
        "broker.delivery_overlap_ms",
        "Time after which the next delivery to such a service begins although the last one is not answered. Always 0 with `compat`.",
    ),
    ("broker.delivery_timeout_ms", "Timeout for one delivery; then it counts as failed."),
    ("broker.retry_wait_max_ms", "Maximum wait between two attempts of one delivery."),
    (
        "broker.conversations_max",
        "Maximum conversations whose participants are remembered, so that replies reach the instance that asked.",
    ),
    (
        "broker.conversations_bytes_max",
        "Maximum bytes of these conversations, about 400 for each and its ids; the oldest is forgotten first. As many bytes of requests may wait for replies; more are refused with 503.",
    ),
    (
        "broker.open_requests_max",
        "Maximum requests that wait for replies, each for as long as its own timeout; more are refused with 503.",
    ),
    (
        "broker.hops_max",
        "Maximum messages that may follow from one another, such as replies to replies; a longer chain is a loop and refused.",
    ),
    ("broker.conversation_idle_ms", "Time for which a conversation without messages is remembered."),
    ("broker.instances_max", "Maximum service instances in the landscape."),
    ("broker.undelivered_max", "Maximum undelivered messages to keep for `GET /undelivered`."),
    (
        "broker.traffic_messages_max",
        "Maximum messages whose traces, without payloads, are kept for `GET /activities/{id}`; the oldest is dropped first. 0 keeps none.",
    ),
];
