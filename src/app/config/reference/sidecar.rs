//! Descriptions of the settings of the sidecar.

/// Keys and their descriptions, in the order of the reference.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("relay.role", "Role of this service on the bus. `exorelay run` requires it."),
    ("relay.receives", "Messages that the service receives, by the service's own names."),
    (
        "relay.sends",
        "Messages that the service sends. Reported to the broker; what a role may send is decided by the landscape.",
    ),
    ("relay.namespace", "Prefix that a generic service uses for its own messages, such as `mongo`."),
    ("relay.request_timeout_ms", "Default time a request waits for its reply."),
    ("relay.waiters_max", "Maximum requests waiting for replies; more are refused as busy."),
    (
        "relay.outbox_messages_max",
        "Maximum messages waiting for the bus; more are refused as busy. As many replies wait besides.",
    ),
    (
        "relay.outbox_bytes_max",
        "Maximum bytes of these messages; more are refused as busy. As many bytes of replies wait besides.",
    ),
    (
        "relay.ready_wait_max_ms",
        "Time after which a message that still waits is reported as a problem by `/ready`; 0 for never.",
    ),
    ("relay.batch_messages_max", "Maximum messages in one call to an exorelay broker."),
    (
        "relay.inbox_messages_max",
        "Maximum incoming messages waiting for or running in a handler; more are refused as busy.",
    ),
    (
        "relay.inbox_bytes_max",
        "Maximum bytes of these messages, and as many of those that wait for a subscriber of `GET /messages` or its acknowledgement; more are refused as busy.",
    ),
    (
        "relay.handlers_concurrent_max",
        "Maximum handlers and webhook calls running at once. 1 keeps the order of arrival.",
    ),
    (
        "relay.seen_messages_max",
        "Maximum ids of received messages to remember, so that a duplicate is not handled twice.",
    ),
    ("relay.seen_window_ms", "Time for which the id of a received message is remembered."),
    (
        "relay.seen_keys_max",
        "Maximum received messages with an idempotency key, each remembered for as long as its sender may repeat it; more are refused as busy.",
    ),
    ("relay.idempotency_keys_max", "Maximum idempotency keys within their window; more are refused as busy."),
    ("relay.idempotency_window_ms", "Time for which an idempotency key is remembered."),
    (
        "relay.idempotency_bytes_max",
        "Maximum bytes of the replies remembered under idempotency keys; a call whose further replies do not fit ends as busy.",
    ),
    (
        "relay.replies_bytes_max",
        "Maximum bytes of the replies that wait for one requester who reads them one after the other; more are refused and come again.",
    ),
    (
        "relay.dead_letters_max",
        "Maximum messages to keep that could not be handled or sent; the oldest is dropped first.",
    ),
    (
        "relay.dead_letters_bytes_max",
        "Maximum bytes of these messages; the oldest are dropped first, and the latest is kept whatever its size.",
    ),
    (
        "relay.subscriber_unacknowledged_max",
        "Maximum messages that a subscriber of `GET /messages` has without having acknowledged them; the rest waits for it or for others.",
    ),
    (
        "relay.subscriber_lease_ms",
        "Time a subscriber of `GET /messages` has to acknowledge a message before it is delivered again; starts again when it acknowledges an earlier one.",
    ),
    (
        "relay.subscriber_deliveries_max",
        "Maximum deliveries of a message to subscribers before it becomes a dead letter.",
    ),
    (
        "relay.retry_wait_max_ms",
        "Maximum wait between attempts to reach the bus, and to send to a busy receiver, whatever wait the bus asks for.",
    ),
    (
        "bus.url",
        "`embedded`, or the URL of an ExoCom broker: `http://`, or `ws://` for one connection in both directions; `https://` and `wss://` with TLS.",
    ),
    (
        "bus.register",
        "`auto`: register with the broker and renew the lease. `off`: another process configures the broker, as with the original brokers; over a WebSocket only the role is sent.",
    ),
    (
        "bus.advertise",
        "HOST:PORT under which the broker reaches `listen.address`. Not set: the port of that listener, at the host the broker sees. Not used with a WebSocket.",
    ),
    ("bus.token", "Token that proves to the broker that this relay may use its role, see `broker.tokens`."),
    ("bus.token_file", "File with that token, instead of `bus.token`; a line break at its end does not count."),
    ("bus.connect_timeout_ms", "Timeout for opening a connection to the broker."),
    (
        "bus.timeout_ms",
        "Timeout for one call to the broker; over a WebSocket, for the acknowledgement of a sent message.",
    ),
    (
        "bus.heartbeat_ms",
        "Idle time after which a WebSocket broker is pinged; after three times this long without an answer the connection counts as lost.",
    ),
    (
        "bus.close",
        "How to close a WebSocket when the relay stops. `polite`: with a close frame, which crashes the original broker in Go. `abrupt`: without one. `auto`: polite with an exorelay broker.",
    ),
    (
        "bus.frame_bytes_max",
        "Maximum WebSocket frame in either direction; never less than `http.body_bytes_max` needs.",
    ),
    (
        "listen.address",
        "Address where the broker delivers messages; not used over a WebSocket. In a container, or with a broker on another host, use 0.0.0.0.",
    ),
    (
        "listen.cors_origins",
        "Origins such as `https://app.example` whose pages may call this listener. `*` allows all.",
    ),
    (
        "listen.answer",
        "When a delivery is answered. `accepted`: as soon as the message is queued. `handled`: after the handler, with 500 if it fails.",
    ),
    (
        "listen.token",
        "Token that the broker has to present with each delivery; it gets it from this sidecar when that registers. The original brokers have none. Not set: every caller can deliver.",
    ),
    ("listen.token_file", "File with that token."),
    (
        "api.address",
        "Address where the service calls its sidecar, or the path of a Unix socket such as `unix:/run/exorelay.sock`. On another address than loopback it needs rules or tokens, see `[access]`.",
    ),
    (
        "api.socket_mode",
        "Permissions of that Unix socket. `0600`: for processes of the same user; `0660`: of the same group, too.",
    ),
    ("api.tls", "Serve it over TLS only, with the certificate of `[tls]`. A Unix socket does without."),
    ("api.cors_origins", "Origins such as `https://app.example` whose pages may call this listener. `*` allows all."),
    (
        "api.envelope",
        "Body of `POST /send/{message}`. `plain`: the payload. `exocom`: the HTTP-era envelope, so that a service of that era can use this port as its ExoCom.",
    ),
    (
        "webhook.forward",
        "Base URL of the service; messages are posted to `{forward}/run/{message}`. Not set: there is no webhook.",
    ),
    (
        "webhook.format",
        "Format of the posted message. `exocom`: the envelope as JSON. `cloudevents`: CloudEvents 1.0, binary mode.",
    ),
    (
        "webhook.secret",
        "Signs every request according to Standard Webhooks: `whsec_` and 24 to 64 bytes in base64; or a list of such secrets, each of which signs, so that a new one can replace an old one.",
    ),
    ("webhook.secret_file", "File with these secrets, one in a line, instead of `webhook.secret`."),
    ("webhook.connect_timeout_ms", "Timeout for opening a connection to the service."),
    ("webhook.timeout_ms", "Timeout for one call; then it counts as failed."),
    ("webhook.deadline_ms", "Time for all attempts to deliver one message; then it becomes a dead letter."),
    ("webhook.retry_wait_max_ms", "Maximum wait between two attempts, unless the service asks for a longer one."),
    ("webhook.concurrent_max", "Maximum concurrent calls to the service."),
    ("webhook.answer_bytes_max", "Maximum length of the service's answer."),
    (
        "webhook.answer_replies_max",
        "Maximum replies in one answer; the message of a longer answer becomes a dead letter.",
    ),
    (
        "webhook.breaker_failures",
        "Consecutive failures after which calls stop until a probe succeeds. 0 disables the circuit breaker.",
    ),
    ("webhook.breaker_open_ms", "Time without calls before the first probe; each failed probe doubles it."),
    (
        "webhook.breaker_open_max_ms",
        "Maximum time between two probes. When the service answers again after it did not, calls resume at once.",
    ),
    (
        "webhook.hang_ms",
        "Time without an answer to any running call, after which the service counts as away until it answers one.",
    ),
];
