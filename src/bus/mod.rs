//! How a relay reaches the others: a broker in the same process, or an ExoCom broker over HTTP or a WebSocket.
//!
//! Every implementation passes the one suite in `contract.rs`, which is this trait's documentation in running form.

mod batch;
mod config;
#[cfg(test)]
mod contract;
mod embedded;
mod error;
mod http;
mod way;
mod websocket;

use batch::together;
pub use config::{Close, Config, Register};
pub use embedded::EmbeddedBus;
pub use error::Error;
pub use http::HttpBus;
pub use way::{Bus, Endpoint, Membership};
pub use websocket::WebSocketBus;
