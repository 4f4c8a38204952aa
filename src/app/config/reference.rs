//! The description of every setting, from which the reference file and the table of the user guide are generated.

#[cfg(test)]
mod tests;

use std::fmt::Write;

use super::idle::is_idle_by_default;
use super::merge::defaults;

/// Line length of comments in the reference file.
const COLUMNS: usize = 116;

const HEADER: &str = "\
Every setting of exorelay with its default. Generated: `exorelay config show --format reference`.

Each key can also be set in the environment, two underscores between levels: EXORELAY__WEBHOOK__TIMEOUT_MS=5000.
Flags override the environment, the environment overrides this file, this file overrides the defaults.
A setting that has no effect together with the others is an error, so those that need another one are comments.
`exorelay config show` prints the origin of each current value. \"\" means \"not set\".";

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
        "relay.ready_wait_max_ms",
        "Time after which a message that still waits is reported as a problem by `/ready`; 0 for never.",
    ),
    ("relay.batch_messages_max", "Maximum messages in one call to an exorelay broker."),
    (
        "relay.inbox_messages_max",
        "Maximum incoming messages waiting for or running in a handler; more are refused as busy.",
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
        "relay.dead_letters_max",
        "Maximum messages to keep that could not be handled or sent; the oldest is dropped first.",
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
    ("relay.retry_wait_max_ms", "Maximum wait between attempts to reach the bus."),
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
        "listen.answer",
        "When a delivery is answered. `accepted`: as soon as the message is queued. `handled`: after the handler, with 500 if it fails.",
    ),
    ("api.address", "Address where the service calls its sidecar. There is no authentication: keep it on loopback."),
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
    ("webhook.secret", "Signs every request according to Standard Webhooks: `whsec_` and 24 to 64 bytes in base64."),
    ("webhook.connect_timeout_ms", "Timeout for opening a connection to the service."),
    ("webhook.timeout_ms", "Timeout for one call; then it counts as failed."),
    ("webhook.deadline_ms", "Time for all attempts to deliver one message; then it becomes a dead letter."),
    ("webhook.retry_wait_max_ms", "Maximum wait between two attempts, unless the service asks for a longer one."),
    ("webhook.concurrent_max", "Maximum concurrent calls to the service."),
    ("webhook.answer_bytes_max", "Maximum length of the service's answer."),
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
    ("broker.address", "Listen address of the broker."),
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
        "Maximum payload bytes waiting for all instances together; more are refused. A single queue may not hold more than remains free.",
    ),
    (
        "broker.frame_bytes_max",
        "Maximum WebSocket frame, never less than `http.body_bytes_max` needs; a client that sends a longer one is disconnected, a relay of ours with code 1009. `exocom`: 64 MiB.",
    ),
    (
        "broker.heartbeat_ms",
        "Idle time after which a WebSocket client is pinged; after three times this long without an answer it is disconnected.",
    ),
    ("broker.origins", "Hosts whose web pages may open a WebSocket, besides the broker's own. `*` allows all."),
    (
        "broker.security_absent",
        "What happens to messages when the landscape has the role `security` but no such service is connected. `hold`: they wait, then are refused. `refuse`: they are refused at once. `allow`: they pass.",
    ),
    ("broker.security_hold_ms", "Time a message waits for the decision of the security service; then it is refused."),
    ("broker.security_held_max", "Maximum messages waiting for the security service; more are refused as busy."),
    (
        "broker.tokens",
        "`ROLE=TOKEN` entries: the token a service must present to register under the role and to send in its name.",
    ),
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
    (
        "edge.address",
        "Listen address for browsers, agents and other clients outside the bus: Durable Streams at `/v1/stream/`, configured in `[streams]`. Not set: `exorelay run` has no edge, `exorelay dev` uses 127.0.0.1:4002. There is no authentication.",
    ),
    (
        "streams.address",
        "Listen address of `exorelay streams`. There is no authentication: expose it to other hosts only behind a proxy that has.",
    ),
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
        "URL under which clients reach the streams, such as `https://streams.example.com`. Not set: taken from each request.",
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
    ("streams.streams_max", "Maximum number of streams; more are refused with 507."),
    ("streams.producers_max", "Maximum producers to remember per stream; more are refused as busy."),
    ("streams.producer_idle_ms", "Minimum time for which an idle producer is remembered."),
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
        "Maximum streams linked to one subscription. Linking more is refused with 507; further streams that match its pattern are not linked, which is logged.",
    ),
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
        "Allow webhooks to `http://localhost` and `http://127.x.x.x`, for development.",
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
    ("streams.cors_origins", "Origins whose pages may use the streams. `*` allows all."),
    ("streams.cors_credentials", "Allow pages of these origins to send credentials; has no effect together with `*`."),
    ("streams.cors_headers", "Headers that these pages may send besides those of the protocol. `*` allows all."),
    ("streams.cors_max_age_ms", "Time for which browsers may cache a preflight answer."),
    (
        "ops.address",
        "Listen address for operators: `/health`, `/ready` and `/metrics` of the whole process, and `POST /drain` for callers on the same machine. Not set: the other listeners answer all but `/drain`.",
    ),
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
        "http.trusted_proxies",
        "Networks and addresses of proxies whose `Forwarded` and `X-Forwarded-*` headers are believed. `[\"0.0.0.0/0\", \"::/0\"]`: those of all clients.",
    ),
    ("log.level", "Log level, or directives such as `info,exorelay::bus=debug`. RUST_LOG overrides it."),
    ("log.format", "`human`: text. `json`: one object per line. `auto`: text on a terminal, else JSON."),
    ("drain.grace_ms", "Time for work in progress to finish at shutdown."),
];

/// Returns the reference file: every key at its default, below a comment with its description.
pub fn toml_file() -> String {
    let mut text = comment(HEADER);
    let mut current = "";
    let defaults = defaults();
    for (key, description) in KEYS {
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        if section != current {
            text += &format!("\n[{section}]\n");
            current = section;
        }
        text += &comment(description);
        if let Some(default) = defaults.get(*key) {
            // A setting without effect is an error, and the file is to be usable as it is.
            let mark = if is_idle_by_default(key, &defaults) { "# " } else { "" };
            text += &format!("{mark}{name} = {default}\n");
        }
    }
    text
}

/// Returns the table of the user guide in Markdown.
pub fn markdown() -> String {
    let mut text = String::from("| key | default | meaning |\n|---|---|---|\n");
    let defaults = defaults();
    for (key, description) in KEYS {
        let default = defaults.get(*key).map(ToString::to_string).unwrap_or_default();
        let description = description.replace('|', "\\|");
        writeln!(text, "| `{key}` | `{default}` | {description} |").expect("writing to a String cannot fail");
    }
    text
}

fn comment(text: &str) -> String {
    let mut comment = String::new();
    for paragraph in text.lines() {
        let mut line = String::from("#");
        for word in paragraph.split(' ') {
            if line.len() > 1 && line.len() + 1 + word.len() > COLUMNS {
                comment += &format!("{line}\n");
                line = String::from("#");
            }
            line += &format!(" {word}");
        }
        comment += &format!("{}\n", line.trim_end());
    }
    comment
}
