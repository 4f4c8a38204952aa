//! The settings of a whole process.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{api, broker, bus, http, listen, relay, streams, webhook};

/// Everything that can be set; each section belongs to the room of its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The relay itself.
    pub relay: relay::Config,
    /// The way to the bus.
    pub bus: bus::Config,
    /// The bus-facing listener.
    pub listen: listen::Config,
    /// The service-facing listener.
    pub api: api::Config,
    /// Delivery to the service.
    pub webhook: webhook::Config,
    /// The broker.
    pub broker: broker::Config,
    /// The listener for clients outside of the bus.
    pub edge: Edge,
    /// Durable streams.
    pub streams: streams::Config,
    /// Bounds of every listener.
    pub http: http::Limits,
    /// The log.
    pub log: Log,
    /// The end of the process.
    pub drain: Drain,
}

/// `[edge]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edge {
    /// Where the edge is served. There is no authentication: loopback unless something in front has it.
    pub address: String,
}

/// `[log]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is logged: a level, or directives such as `info,exorelay::bus=debug`.
    pub level: String,
    /// How it is written.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Auto }
    }
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    Auto,
    /// Text for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// `[drain]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// How long work that has begun may take to finish after the process was told to stop. 0 drops it at once.
    pub grace_ms: u64,
}

impl Default for Drain {
    fn default() -> Self {
        Self { grace_ms: 10_000 }
    }
}

impl Drain {
    /// How long work that has begun may take to finish.
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}
