//! Joins the modules into running processes: configuration, wiring, start, and drain in order.
//!
//! [`broker`], [`dev`], [`run`], [`streams`], [`exocom::run`] and [`Service::run_from_env`] are whole processes: they handle
//! signals, raise the limit on open files, and print on stdout which listeners are ready. [`telemetry::start`] sets the
//! logger, [`create_private_files`] the umask. Nothing else in the crate changes the process that uses it.

mod access;
mod builder;
mod child;
pub mod config;
mod drain_request;
mod edge;
mod error;
pub mod exocom;
mod greeter;
pub mod landscape;
mod notify;
mod open_files;
mod operations;
mod process;
pub mod ready;
mod reload;
pub mod security;
mod service;
mod sidecar;
mod signals;
mod start;
mod streams;
mod system;
pub mod telemetry;
mod tls;
mod umask;

pub use builder::Builder;
pub(crate) use child::{ProcessGroup, reachable};
pub use child::{Restart, ServiceCommand};
pub use config::Config;
pub use error::Error;
pub use service::Service;
pub use start::{EmbeddedBroker, broker, dev, run, streams};
pub use system::{Routes, System};
pub(crate) use tls::check_certificates;
pub use umask::create_private_files;
