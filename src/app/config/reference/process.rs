//! Descriptions of the settings of the whole process.

/// Keys and their descriptions, in the order of the reference.
pub(super) const KEYS: &[(&str, &str)] = &[
    (
        "ops.address",
        "Listen address for operators: `/health`, `/ready` and `/metrics` of the whole process, and `POST /drain` for callers on the same machine. Not set: the other listeners answer all but `/drain`.",
    ),
    ("ops.cors_origins", "Origins such as `https://app.example` whose pages may call this listener. `*` allows all."),
    ("ops.tls", "Serve it over TLS only, with the certificate of `[tls]`."),
    (
        "access.insecure",
        "Open listeners on other addresses than loopback to everyone, with a line in the log. Without it, and without rules or tokens, they refuse to start.",
    ),
    (
        "access.tokens",
        "Callers with tokens for `Authorization: Bearer`, one below each `[[access.tokens]]`: `name`; `token` (or `sha256:` and its hash in hexadecimal digits), `token_file` or `token_sha256`; and `roles`. Several with one name are good at the same time. In the environment `NAME=TOKEN` entries. Without rules they may do everything, and callers without one nothing.",
    ),
    (
        "access.rules",
        "Rights, one below each `[[access.rules]]`: `who`, `allow` and `deny`, such as `who = \"role:web\"`, `allow = [\"send:users.*\"]`. The first rule that is about a call decides; a call without one is refused. See the guide, chapter security.",
    ),
    ("access.browser_listeners", "Listeners that take a token from a cookie or the query, too."),
    ("access.cookie", "Name of that cookie. Not set: none."),
    (
        "access.query",
        "Name of that parameter of the query, such as `access_token`, for `EventSource` and `WebSocket`, which cannot send headers. It is removed before a request is handled. Not set: none.",
    ),
    ("access.jwt_secret", "Secret of JWTs that are signed with HS256, at least 32 bytes. Better in a file."),
    ("access.jwt_secret_file", "File with that secret."),
    ("access.jwt_key", "Keys of JWTs that are signed with RS256, ES256 or EdDSA: public keys in PEM, or a JWK set."),
    ("access.jwt_key_file", "File with such keys."),
    (
        "access.jwt_keys_url",
        "URL of a JWK set. Fetched when the first token comes, every ten minutes, and when a token names an unknown key.",
    ),
    ("access.jwt_issuer", "Issuer (`iss`) that JWTs must have. Not set: any whose key is known."),
    (
        "access.jwt_audiences",
        "Audiences of which a JWT must name one (`aud`). Not set: JWTs that name audiences are refused.",
    ),
    (
        "access.jwt_leeway_ms",
        "Time by which the clocks of the issuer and of this process may differ, at most 10 minutes.",
    ),
    ("access.jwt_role_claim", "Claim with the roles of the caller, as a text or a list."),
    (
        "http.bodies_bytes_max",
        "Maximum bytes of all bodies and WebSocket frames that one listener is reading at a time; what does not fit is answered 503, or its WebSocket closed with code 1013.",
    ),
    (
        "http.head_bytes_max",
        "Maximum request head, and buffer of a connection; a longer head is answered 431, as is one with more than 100 headers.",
    ),
    (
        "http.body_bytes_max",
        "Maximum body that a listener accepts, and so the maximum payload of a message on every bus; a longer one is answered \
         413.",
    ),
    ("http.body_timeout_ms", "Timeout for receiving a body; then 408."),
    ("http.header_timeout_ms", "Timeout for receiving complete request headers; then the connection is closed."),
    ("http.write_timeout_ms", "Time after which a connection that accepts no data is closed."),
    (
        "http.connections_max",
        "Maximum open connections per listener. Requests of further ones are answered 503, except `/health`, `/ready`, `/metrics`, `/status` and `/drain`.",
    ),
    (
        "http.connections_per_address_max",
        "Maximum open connections of one client per listener; of one /64 network with IPv6. Further ones are refused as above. Trusted proxies may have more; by default that is every private address.",
    ),
    (
        "http.hosts",
        "Hosts that listeners on loopback addresses answer to besides `localhost` and loopback addresses, such as `relay.internal`; with a port for that one only. `*` allows all. If some are listed, listeners on other addresses answer to these, to `localhost` and to addresses only.",
    ),
    (
        "http.trusted_proxies",
        "Networks and addresses of proxies whose `Forwarded` and `X-Forwarded-*` headers are believed. `[\"0.0.0.0/0\", \"::/0\"]`: those of all clients.",
    ),
    (
        "memory.queues_bytes_max",
        "Maximum bytes of all messages that wait in this process; while they are reached, messages are refused with 503, except replies.",
    ),
    (
        "tls.cert_file",
        "PEM file with the certificate of this process, followed by those of its issuers. Shown by the listeners with `tls = true`, and to servers that ask their clients for one. Files of `[tls]` are read again when they change and at SIGHUP.",
    ),
    ("tls.key_file", "PEM file with the key of that certificate, without a passphrase."),
    (
        "tls.client_ca_file",
        "PEM file with the authorities whose certificates clients may show to listeners with `tls = true`. Not set: clients are not asked.",
    ),
    ("tls.client_required", "Refuse connections of clients that show no such certificate."),
    (
        "tls.ca_file",
        "PEM file with authorities that outgoing calls trust besides those of the system. SSL_CERT_FILE replaces those of the system.",
    ),
    ("log.level", "Log level, or directives such as `info,exorelay::bus=debug`. RUST_LOG overrides it."),
    ("log.format", "`human`: text. `json`: one object per line. `auto`: text on a terminal, else JSON."),
    ("drain.grace_ms", "Time for work in progress to finish at shutdown."),
];
