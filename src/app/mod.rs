//! Joins the rooms into running processes: configuration, telemetry, start and drain in order.

mod builder;
pub mod config;
mod edge;
mod error;
pub mod exocom;
mod files;
mod greeter;
pub mod landscape;
pub mod ready;
mod reload;
pub mod security;
mod service;
mod sidecar;
mod signals;
mod start;
pub mod telemetry;

pub use builder::Builder;
pub use config::Config;
pub use error::Error;
pub use service::Service;
pub use start::{EmbeddedBroker, broker, dev, run, streams};
