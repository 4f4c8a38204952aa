//! Broker settings.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::http::{OwnListeners, SsrfGuard, SsrfGuardConfig, debug_without_secrets};
use crate::memory::Budget;

/// The networks in which services may listen by default: loopback, and the private ones of RFC 1918 and RFC 4193.
const INSTANCE_NETWORKS: [&str; 6] =
    ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// The `[broker]` section of the configuration.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Listen address.
    pub address: String,
    /// Serve over TLS only.
    pub tls: bool,
    /// Reproduce quirks of the HTTP-era original that are improved otherwise: see `features/broker/compat.feature`.
    pub compat: bool,
    /// Print one line per delivery on stdout.
    pub log_messages: bool,
    /// Print the payload below that line, and include payloads in `GET /traffic` on request. Payloads may contain
    /// secrets.
    pub log_payloads: bool,
    /// Time for which a registration lasts without renewal.
    pub lease_ms: u64,
    /// Time after start during which messages without receivers are kept, since services may still have to register
    /// again.
    /// 0 refuses them at once.
    pub settle_ms: u64,
    /// Maximum time to deliver one message; then it is reported as undelivered.
    pub delivery_window_ms: u64,
    /// Maximum number of messages waiting for one instance; more are refused.
    pub queue_messages_max: usize,
    /// Maximum payload bytes waiting for all instances together, and of the messages that wait to be authorized; more are refused. No queue may use more than it
    /// leaves for
    /// all others together.
    pub queue_bytes_max: usize,
    /// Maximum number of messages in one delivery to one of our relays.
    pub batch_messages_max: usize,
    /// Maximum payload bytes of a delivery of several messages; a single message may be larger.
    pub batch_bytes_max: usize,
    /// Maximum number of simultaneous deliveries to one service that is not one of our relays and listens for HTTP; more
    /// messages wait.
    pub deliveries_max: usize,
    /// Time after which the next delivery to such a service begins although the last one is not answered yet. Always 0 with
    /// `compat`.
    pub delivery_overlap_ms: u64,
    /// Timeout of one delivery.
    pub delivery_timeout_ms: u64,
    /// Maximum wait between two attempts of a delivery.
    pub retry_wait_max_ms: u64,
    /// Largest payload of a message; a larger one is refused. The commands set it to `http.body_bytes_max`.
    #[serde(skip)]
    pub payload_bytes_max: usize,
    /// Maximum size of a WebSocket frame; a client that sends a larger one is disconnected, a relay of ours with code
    /// 1009. The commands use more if the largest payload needs it; `exocom` allows 64 MiB.
    pub frame_bytes_max: usize,
    /// Largest registration of a service: the body of its call, or a frame of its WebSocket before it has registered. Of a
    /// larger one the body is refused, and the socket closed, with code 1009 if it is a relay of ours.
    pub registration_bytes_max: usize,
    /// Maximum bytes of all registrations together, and of a landscape; more are refused as busy. Each name counts for its
    /// length and 128 bytes.
    pub registrations_bytes_max: usize,
    /// Time within which a WebSocket client has to register; then it is disconnected.
    pub register_timeout_ms: u64,
    /// Silence after which a WebSocket is pinged; after three times as long it is closed.
    pub heartbeat_ms: u64,
    /// Origins whose pages may call and open a WebSocket; `*` allows all.
    pub cors_origins: Vec<String>,
    /// Maximum number of conversations whose participants are remembered, so that replies reach the instance that
    /// asked.
    pub conversations_max: usize,
    /// Maximum bytes of these conversations: about 400 for each, and its ids; the oldest is forgotten first. As many bytes of
    /// requests may wait for replies; more are refused as busy.
    pub conversations_bytes_max: usize,
    /// Maximum number of requests that wait for replies, each for as long as its own timeout; more are refused as busy.
    pub open_requests_max: usize,
    /// Maximum number of messages that may follow from one another, as a reply follows from its request and what a handler
    /// sends from the handled message; a longer chain is a loop, and its next message is refused.
    pub hops_max: u32,
    /// Time for which an idle conversation is remembered.
    pub conversation_idle_ms: u64,
    /// Maximum number of registered instances.
    pub instances_max: usize,
    /// Treatment of messages while the landscape has the role `security` but no such service is connected.
    pub security_absent: SecurityAbsent,
    /// Maximum time a message waits to be authorized by the security service; then it is refused.
    pub security_hold_ms: u64,
    /// Maximum number of messages waiting to be authorized; more are refused as busy.
    pub security_held_max: usize,
    /// `ROLE=TOKEN` entries: the token that is needed for everything in the name of the role: to register, to send, to leave. A
    /// role may have several; `*` stands for all roles without an entry. A token is plain, or `sha256:` and its digest.
    pub tokens: Vec<String>,
    /// Tokens of operators, plain or `sha256:` and their digests: once any token is set, only they may replace the landscape and
    /// watch the traffic.
    pub operator_tokens: Vec<String>,
    /// File with such tokens, one in a line. The commands read it into `operator_tokens`; empty: none.
    pub operator_tokens_file: String,
    /// Networks (`10.1.0.0/16`) in which services may listen; the broker calls no others.
    pub instance_networks: Vec<String>,
    /// The listeners of this process, which are never called. The commands set it.
    #[serde(skip)]
    pub own_listeners: OwnListeners,
    /// File with such entries, one in a line. The commands read it into `tokens`; empty: none.
    pub tokens_file: String,
    /// Maximum number of undelivered messages kept for `GET /undelivered`.
    pub undelivered_max: usize,
    /// Maximum number of messages recorded for `GET /activities/{id}`, without payloads; the oldest is evicted. 0
    /// disables
    /// the record.
    pub traffic_messages_max: usize,
    /// Memory for the queues of all relays and brokers that have this budget; while it is used up, messages are refused as
    /// busy. The commands set it to `memory.queues_bytes_max`.
    #[serde(skip)]
    pub memory: Budget,
}

/// Treatment of messages while no security service is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecurityAbsent {
    /// Messages wait for the security service, and are refused after `security_hold_ms`.
    Hold,
    /// Messages are refused at once.
    Refuse,
    /// Messages are routed without authorization.
    Allow,
}

impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_without_secrets(formatter, self, &["tokens", "operator_tokens"])
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:3100".into(),
            tls: false,
            compat: false,
            log_messages: false,
            log_payloads: false,
            lease_ms: 10_000,
            settle_ms: 5_000,
            delivery_window_ms: 30_000,
            queue_messages_max: 4_096,
            queue_bytes_max: 64 * 1024 * 1024,
            batch_messages_max: 256,
            batch_bytes_max: 512 * 1024,
            deliveries_max: 1_024,
            delivery_overlap_ms: 100,
            delivery_timeout_ms: 10_000,
            retry_wait_max_ms: 2_000,
            payload_bytes_max: 1024 * 1024,
            frame_bytes_max: 16 * 1024 * 1024,
            registration_bytes_max: 128 * 1024,
            registrations_bytes_max: 32 * 1024 * 1024,
            register_timeout_ms: 30_000,
            heartbeat_ms: 5_000,
            cors_origins: Vec::new(),
            conversations_max: 65_536,
            conversations_bytes_max: 48 * 1024 * 1024,
            open_requests_max: 131_072,
            hops_max: 32,
            conversation_idle_ms: 60_000,
            instances_max: 16_384,
            security_absent: SecurityAbsent::Hold,
            security_hold_ms: 10_000,
            security_held_max: 4_096,
            tokens: Vec::new(),
            operator_tokens: Vec::new(),
            operator_tokens_file: String::new(),
            instance_networks: INSTANCE_NETWORKS.map(str::to_owned).to_vec(),
            own_listeners: OwnListeners::default(),
            tokens_file: String::new(),
            undelivered_max: 1_000,
            traffic_messages_max: 4_096,
            memory: Budget::default(),
        }
    }
}

impl Config {
    /// Returns the guard of calls to services.
    pub(crate) fn guard(&self) -> SsrfGuard {
        SsrfGuard::new(&SsrfGuardConfig {
            allowed: self.instance_networks.clone(),
            public: false,
            loopback_http: false,
            own: self.own_listeners.clone(),
            rule: "broker.instance_networks lists the networks in which services may listen",
        })
    }

    pub(crate) fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }

    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }

    pub(crate) fn register_timeout(&self) -> Duration {
        Duration::from_millis(self.register_timeout_ms)
    }

    pub(crate) fn security_hold(&self) -> Duration {
        Duration::from_millis(self.security_hold_ms)
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    pub(crate) fn delivery_window(&self) -> Duration {
        Duration::from_millis(self.delivery_window_ms)
    }

    pub(crate) fn delivery_timeout(&self) -> Duration {
        Duration::from_millis(self.delivery_timeout_ms)
    }

    pub(crate) fn delivery_overlap(&self) -> Duration {
        if self.compat { Duration::ZERO } else { Duration::from_millis(self.delivery_overlap_ms) }
    }

    pub(crate) fn retry_wait_max(&self) -> Duration {
        Duration::from_millis(self.retry_wait_max_ms)
    }

    pub(crate) fn conversation_idle(&self) -> Duration {
        Duration::from_millis(self.conversation_idle_ms)
    }
}
