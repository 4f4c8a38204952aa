//! The settings of a whole process.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::http::OwnListeners;
use crate::memory::Budget;
use crate::{api, broker, bus, http, listen, relay, streams, webhook};

/// All settings; each section belongs to the module of its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The relay.
    pub relay: relay::Config,
    /// The connection to the bus.
    pub bus: bus::Config,
    /// The bus-facing listener.
    pub listen: listen::Config,
    /// The service-facing listener.
    pub api: api::Config,
    /// Delivery to the service.
    pub webhook: webhook::Config,
    /// The broker.
    pub broker: broker::Config,
    /// The listener for clients outside the bus.
    pub edge: Edge,
    /// Durable streams.
    pub streams: streams::Config,
    /// The listener for operators.
    pub ops: Ops,
    /// Access control of the listeners.
    pub access: http::AccessConfig,
    /// Limits of every listener.
    pub http: http::Limits,
    /// Memory of the process.
    pub memory: Memory,
    /// Certificates.
    pub tls: http::TlsConfig,
    /// The log.
    pub log: Log,
    /// The shutdown of the process.
    pub drain: Drain,
}

impl Config {
    /// Returns the list of the process's own listeners, which nobody else may make it call.
    pub(in crate::app) fn own_listeners(&self) -> &OwnListeners {
        &self.streams.own_listeners
    }
}

/// `[edge]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edge {
    /// The listen address; empty for none.
    pub address: String,
    /// Serve over TLS only.
    pub tls: bool,
}

/// `[ops]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ops {
    /// The listen address; empty for none.
    pub address: String,
    /// Origins whose pages may call; `*` allows all.
    pub cors_origins: Vec<String>,
    /// Serve over TLS only.
    pub tls: bool,
}

/// `[memory]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// Maximum bytes of all messages that wait in this process; further messages are refused as busy, except replies that
    /// somebody waits for.
    pub queues_bytes_max: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self { queues_bytes_max: 128 * 1024 * 1024 }
    }
}

impl Config {
    /// Makes the queues of all parts of this process share one budget.
    pub(in crate::app) fn share_memory(&mut self) {
        let memory = Budget::new(self.memory.queues_bytes_max);
        self.relay.memory = memory.clone();
        self.broker.memory = memory;
    }
}

/// `[log]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A level, or directives such as `info,exorelay::bus=debug`.
    pub level: String,
    /// The output format.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Auto }
    }
}

/// The output format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// Text.
    Human,
    /// One JSON object per line.
    Json,
}

/// `[drain]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// Time for work in progress to finish at shutdown; 0 drops it at once.
    pub grace_ms: u64,
}

impl Default for Drain {
    fn default() -> Self {
        Self { grace_ms: 10_000 }
    }
}

impl Drain {
    /// Returns the time for work in progress to finish.
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}
