//! Joins the rooms into running processes: configuration, telemetry, start and drain in order.

mod builder;
pub mod config;
mod error;
mod greeter;
pub mod ready;
mod sidecar;
mod signals;
mod start;
pub mod telemetry;

pub use builder::Builder;
pub use config::Config;
pub use error::Error;
pub use start::{EmbeddedBroker, broker, dev, run, streams};
