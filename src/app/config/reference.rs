//! What every key means: the one table that the reference file and the README's table are made of.

use std::fmt::Write;

use super::merge::defaults;

/// Comments of the reference file are broken at this column.
const COLUMNS: usize = 116;

const HEADER: &str = "\
Every setting of exorelay with its default. Generated: `exorelay config show --format reference`.

Each key can also be set in the environment, two underscores between levels: EXORELAY__WEBHOOK__TIMEOUT_MS=5000.
Flags win over the environment, the environment wins over this file, this file wins over the defaults.
`exorelay config show` prints where each value in force comes from. \"\" is \"not set\".";

/// Key and meaning, in the order in which people read them.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("relay.role", "Who this service is on the bus. `exorelay run` needs it."),
    ("relay.receives", "The messages the service wants, in its own language."),
    ("relay.sends", "The messages it sends. Told to the broker; what a role may send is for the landscape to say."),
    ("relay.namespace", "The prefix a generic service uses for its own messages, such as `mongo`."),
    ("relay.request_timeout_ms", "How long a request waits for its reply unless told otherwise."),
    ("relay.waiters_max", "Requests that may wait for replies at once; more are refused as busy."),
    ("relay.outbox_messages_max", "Messages that may wait for the bus; more are refused as busy."),
    ("relay.batch_messages_max", "Messages that one call to our own broker may carry."),
    (
        "relay.inbox_messages_max",
        "Incoming messages that may wait for a handler or be in one; more are refused as busy.",
    ),
    ("relay.handlers_concurrent_max", "Handlers and webhook calls that may run at once. 1 keeps the order of arrival."),
    (
        "relay.seen_messages_max",
        "How many ids of received messages are remembered, so that a duplicate is not handled twice.",
    ),
    ("relay.seen_window_ms", "How long the id of a received message is remembered."),
    ("relay.idempotency_keys_max", "How many idempotency keys are remembered."),
    ("relay.idempotency_window_ms", "How long an idempotency key is remembered."),
    ("relay.dead_letters_max", "Messages that could not be handled or sent and are kept; the oldest gives way."),
    (
        "relay.subscriber_lease_ms",
        "How long a subscriber of `GET /messages` has to acknowledge a message before it is given out again.",
    ),
    ("relay.subscriber_deliveries_max", "How often a message is given out before it becomes a dead letter."),
    ("relay.retry_wait_max_ms", "The longest wait between two tries to reach the bus."),
    (
        "bus.url",
        "`embedded`, or the URL of an ExoCom broker: `http://`, or `ws://` for one connection both ways; `https://` and `wss://` with TLS.",
    ),
    (
        "bus.register",
        "`auto`: register with the broker and keep the lease. `off`: somebody else configures the broker, as the originals have it; over a WebSocket the role is told, and nothing else.",
    ),
    (
        "bus.advertise",
        "HOST:PORT under which the broker reaches `listen.address`. Not set: the port of that listener, at the host the broker sees. Not used with a WebSocket.",
    ),
    ("bus.token", "What proves to the broker that this relay may have its role, see `broker.tokens`."),
    ("bus.connect_timeout_ms", "How long a connection to the broker may take to open."),
    (
        "bus.timeout_ms",
        "How long one call to the broker may take; over a WebSocket, how long what was sent may stay unanswered.",
    ),
    (
        "bus.heartbeat_ms",
        "After how long without a sign of life a broker at a WebSocket is asked for one; after three times that the connection is lost.",
    ),
    (
        "bus.close",
        "How a WebSocket ends when the relay leaves. `polite`: with a close frame, of which the original broker in Go dies. `abrupt`: without. `auto`: polite with our own broker.",
    ),
    ("bus.frame_bytes_max", "Largest frame of a WebSocket, either way; a message that makes a larger one is refused."),
    (
        "listen.address",
        "Where the broker delivers; over a WebSocket it does not need to. Containers and other hosts want 0.0.0.0.",
    ),
    (
        "listen.answer",
        "When a delivery is answered. `accepted`: as soon as the message has its place. `handled`: after the handler, 500 when it fails.",
    ),
    ("api.address", "Where the service calls its sidecar. There is no authentication: keep it on loopback."),
    (
        "api.envelope",
        "What the body of `POST /send/{message}` is. `plain`: the payload. `exocom`: the body of the HTTP era, so that a service of that era takes this port for ExoCom's.",
    ),
    (
        "webhook.forward",
        "The service's base URL; messages go to `{forward}/run/{message}`. Not set: there is no webhook.",
    ),
    (
        "webhook.format",
        "How a message is put into the request. `exocom`: the envelope as JSON. `cloudevents`: CloudEvents 1.0, binary mode.",
    ),
    ("webhook.secret", "Signs every request by Standard Webhooks: `whsec_` and 24 to 64 bytes in base64."),
    ("webhook.connect_timeout_ms", "How long a connection to the service may take to open."),
    ("webhook.timeout_ms", "How long one call may take before it counts as failed."),
    ("webhook.deadline_ms", "How long one message is tried; then it becomes a dead letter."),
    ("webhook.retry_wait_max_ms", "The longest wait between two tries, unless the service asks for more."),
    ("webhook.concurrent_max", "Calls to the service that may run at once."),
    ("webhook.answer_bytes_max", "Longest answer that is read."),
    (
        "webhook.breaker_failures",
        "Failures in a row after which calls stop until a probe succeeds. 0 switches the breaker off.",
    ),
    ("webhook.breaker_open_ms", "How long calls stop before the first probe; each failed probe doubles it."),
    ("webhook.breaker_open_max_ms", "The longest time between two probes."),
    ("broker.address", "Where the broker listens."),
    ("broker.compat", "Behave as the original of the HTTP era where ours is better."),
    ("broker.log_messages", "Print one line per delivery on stdout."),
    (
        "broker.log_payloads",
        "Print the payload below that line, and show payloads to those who follow `GET /traffic` and ask for them. Payloads may hold secrets.",
    ),
    ("broker.lease_ms", "How long a service that registered itself stays registered without a sign of life."),
    (
        "broker.settle_ms",
        "How long after its start a broker keeps messages that nobody receives yet, since services may still have to register again. 0 refuses them at once.",
    ),
    ("broker.delivery_window_ms", "How long delivery of one message is tried; then it is reported as undelivered."),
    ("broker.queue_messages_max", "Messages that may wait for one instance; more are refused."),
    (
        "broker.queue_bytes_max",
        "Payload bytes that may wait for all instances together; more are refused. No queue gets more than it leaves to the others.",
    ),
    (
        "broker.frame_bytes_max",
        "The longest frame of a WebSocket; whoever sends a longer one is disconnected with the code 1009.",
    ),
    (
        "broker.heartbeat_ms",
        "After how long without a sign of life a WebSocket is asked for one; after three times that it is closed.",
    ),
    ("broker.origins", "Hosts whose web pages may open a WebSocket, besides the broker's own. `*` allows all."),
    (
        "broker.security_absent",
        "What happens to messages while the landscape has the role `security` and no such service is there. `hold`: they wait, then are refused. `refuse`: at once. `allow`: they pass.",
    ),
    ("broker.security_hold_ms", "How long a message waits for the security service to judge it; then it is refused."),
    ("broker.security_held_max", "Messages that may wait to be judged; more are refused as busy."),
    (
        "broker.tokens",
        "`ROLE=TOKEN` each: what a service has to show to register under the role, and to send under its name.",
    ),
    ("broker.batch_messages_max", "Messages that one delivery to one of our relays may carry."),
    (
        "broker.batch_bytes_max",
        "Payload bytes that one delivery of several messages may carry; a single message may have more.",
    ),
    ("broker.delivery_timeout_ms", "How long one delivery may take before it counts as failed."),
    ("broker.retry_wait_max_ms", "The longest wait between two tries of one delivery."),
    (
        "broker.conversations_max",
        "Conversations whose participants are remembered, so that answers find the instance that asked.",
    ),
    ("broker.conversation_idle_ms", "How long a conversation without messages is remembered."),
    ("broker.instances_max", "Services the landscape may hold, instances counted one by one."),
    ("broker.undelivered_max", "Undelivered messages that are kept for `GET /undelivered`."),
    (
        "broker.traffic_messages_max",
        "Messages whose traces are kept for `GET /activities/{id}`, without their payloads; the oldest gives way. 0 keeps none.",
    ),
    (
        "streams.address",
        "Where durable streams are served. There is no authentication: other hosts only behind something that has.",
    ),
    ("streams.store", "`memory`: streams end with the process. `disk`: they stay, in `streams.data_dir`."),
    (
        "streams.data_dir",
        "The folder of the disk store, one process at a time. Given without `streams.store`, that is `disk`.",
    ),
    (
        "streams.durability",
        "When an append counts as written, with the disk store. `sync`: when it is on the disk; nothing is lost when the power goes. `interval 10ms`: when the system has it; the disk has it so much later. `memory`: when the system has it. With the last two nothing is lost when the process is killed.",
    ),
    (
        "streams.public_url",
        "How clients reach the streams from outside, such as `https://streams.example.com`. Not set: as their requests say.",
    ),
    ("streams.long_poll_timeout_ms", "How long a long-poll waits for data."),
    ("streams.sse_lifetime_ms", "How long one event stream lasts; its reader comes back and goes on where it was."),
    ("streams.read_bytes_max", "How much one read returns; a single append may have more."),
    ("streams.event_bytes_max", "How much one event carries; a single append may have more."),
    ("streams.body_bytes_max", "Largest body of a `PUT` or `POST`; a longer one is answered 413."),
    ("streams.content_bytes_max", "Content of all streams together with the memory store; more is refused with 507."),
    (
        "streams.disk_free_bytes_min",
        "How much stays free on the disk with the disk store; with less, content is refused with 507.",
    ),
    ("streams.disk_cache_bytes_max", "Memory for what is read from the disk again and again."),
    ("streams.waiting_bytes_max", "Content that may wait to be written; more is refused as busy."),
    ("streams.streams_max", "Streams there may be; more are refused with 507."),
    ("streams.producers_max", "Producers that are remembered per stream; more are refused as busy."),
    ("streams.producer_idle_ms", "How long a producer is remembered for certain."),
    ("streams.fork_segments_max", "On how many streams a fork may stand."),
    ("streams.cache", "Which caches may keep what was read. `public`: all. `private`: the reader's own. `off`: none."),
    ("streams.cursor_interval_ms", "How long the cursor that keeps caches apart stays the same."),
    ("streams.cors_origins", "Origins whose pages may use the streams. `*` allows all."),
    ("streams.cors_credentials", "Whether those pages may send credentials; has no effect together with `*`."),
    ("streams.cors_max_age_ms", "How long a browser remembers what it may do."),
    ("http.body_bytes_max", "Largest body a listener takes; a longer one is answered 413."),
    ("http.body_timeout_ms", "How long a body may take to arrive; then 408."),
    ("http.header_timeout_ms", "How long a connection may stay without complete request headers; then it is closed."),
    ("http.write_timeout_ms", "How long a connection may take nothing of what is sent to it; then it is closed."),
    ("http.connections_max", "Open connections per listener; further ones wait in the system's backlog."),
    ("log.level", "A level, or directives such as `info,exorelay::bus=debug`. RUST_LOG wins."),
    ("log.format", "`auto`: for people on a terminal, JSON otherwise. `human` and `json` say which."),
    ("drain.grace_ms", "How long work that has begun may take to finish after the process was told to stop."),
];

/// The reference file: every key at its default under a comment that says what it means.
pub fn toml_file() -> String {
    let mut text = comment(HEADER);
    let mut current = "";
    let defaults = defaults();
    for (key, meaning) in KEYS {
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        if section != current {
            text += &format!("\n[{section}]\n");
            current = section;
        }
        text += &comment(meaning);
        if let Some(default) = defaults.get(*key) {
            text += &format!("{name} = {default}\n");
        }
    }
    text
}

/// The table of the README.
pub fn markdown() -> String {
    let mut text = String::from("| key | default | meaning |\n|---|---|---|\n");
    let defaults = defaults();
    for (key, meaning) in KEYS {
        let default = defaults.get(*key).map(ToString::to_string).unwrap_or_default();
        let meaning = meaning.replace('|', "\\|");
        writeln!(text, "| `{key}` | `{default}` | {meaning} |").expect("a String takes everything");
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Config;
    use super::*;

    #[test]
    fn every_key_of_the_configuration_has_a_meaning_and_no_other_has() {
        let explained: BTreeSet<String> = KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
        let existing: BTreeSet<String> = defaults().into_keys().collect();
        let difference: Vec<&String> = explained.symmetric_difference(&existing).collect();
        assert!(difference.is_empty(), "in KEYS or in Config, but not in both: {difference:?}");
        assert_eq!(explained.len(), KEYS.len(), "a key is explained twice");
    }

    #[test]
    fn the_reference_file_is_the_generated_one() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docker/exorelay.toml");
        let written = std::fs::read_to_string(file).unwrap();
        assert!(written == toml_file(), "run: exorelay config show --format reference > docker/exorelay.toml");
    }

    #[test]
    fn the_reference_file_changes_nothing() {
        assert_eq!(toml::from_str::<Config>(&toml_file()).unwrap(), Config::default());
    }

    #[test]
    fn the_table_has_a_row_for_every_key() {
        assert_eq!(markdown().lines().count(), KEYS.len() + 2);
        assert!(markdown().contains("| `bus.url` | `\"http://127.0.0.1:3100\"` | "));
    }
}
