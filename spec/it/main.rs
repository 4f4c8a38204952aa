//! Integration tests of the built binary.

#![allow(clippy::unwrap_used)] // All of this is test code, but clippy recognizes only functions marked as tests.

mod attacks;
#[allow(unreachable_pub)] // The feature tests use it from a nested module.
#[path = "../world/authority.rs"]
mod authority;
mod bounds;
mod cancelling;
mod command_line;
mod container;
mod crash;
mod drain;
mod durable;
mod embedding;
#[allow(unreachable_pub)] // The feature tests use it from a nested module.
#[path = "../world/eventually.rs"]
mod eventually;
mod flooded_streams;
mod limits;
mod log_schema;
mod memory;
mod metrics;
mod private_files;
mod rust_api;
mod secrets;
mod secure;
mod sockets;
mod stage;
mod stopping;
mod transport;
mod trouble;
