//! Descriptions of the settings of the whole process.

/// Keys and their descriptions, in the order of the reference.
pub(super) const KEYS: &[(&str, &str)] = &[
    (
        "ops.address",
        "Listen address for operators: `/health`, `/ready` and `/metrics` of the whole process, and `POST /drain` for callers on the same machine. Not set: the other listeners answer all but `/drain`.",
    ),
    ("ops.cors_origins", "Origins such as `https://app.example` whose pages may call this listener. `*` allows all."),
    (
        "http.body_bytes_max",
        "Maximum body that a listener accepts, and so the maximum payload of a message on every bus; a longer one is answered \
         413.",
    ),
    ("http.body_timeout_ms", "Timeout for receiving a body; then 408."),
    ("http.header_timeout_ms", "Timeout for receiving complete request headers; then the connection is closed."),
    ("http.write_timeout_ms", "Time after which a connection that accepts no data is closed."),
    ("http.connections_max", "Maximum open connections per listener; more wait in the system's backlog."),
    (
        "http.hosts",
        "Hosts that listeners on loopback addresses answer to besides `localhost` and loopback addresses, such as `relay.internal`; with a port for that one only. `*` allows all. If some are listed, listeners on other addresses answer to these, to `localhost` and to addresses only.",
    ),
    (
        "http.trusted_proxies",
        "Networks and addresses of proxies whose `Forwarded` and `X-Forwarded-*` headers are believed. `[\"0.0.0.0/0\", \"::/0\"]`: those of all clients.",
    ),
    ("log.level", "Log level, or directives such as `info,exorelay::bus=debug`. RUST_LOG overrides it."),
    ("log.format", "`human`: text. `json`: one object per line. `auto`: text on a terminal, else JSON."),
    ("drain.grace_ms", "Time for work in progress to finish at shutdown."),
];
