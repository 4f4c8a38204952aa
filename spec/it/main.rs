//! What only the built binary can show.

#![allow(clippy::unwrap_used)] // Everything here is a test; clippy only knows functions marked as such.

mod command_line;
mod crash;
mod drain;
mod durable;
mod embedding;
#[allow(unreachable_pub)] // The scenarios use it from a deeper place.
#[path = "../world/eventually.rs"]
mod eventually;
mod limits;
mod memory;
mod secure;
mod sockets;
mod stage;
