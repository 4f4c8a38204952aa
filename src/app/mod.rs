//! Joins the rooms into running processes: configuration, telemetry, start and drain in order.

pub mod config;
pub mod ready;
mod start;
pub mod telemetry;

pub use config::Config;
pub use start::{Edge, EmbeddedBroker, Error, broker, dev, run};
