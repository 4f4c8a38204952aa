//! Transports between a relay and a broker: in the same process, over HTTP, or over a WebSocket.
//!
//! Every implementation passes the contract suite in `contract.rs`, which documents the trait in running form.

mod batch;
mod config;
#[cfg(test)]
mod contract;
mod embedded;
mod error;
mod http;
mod interface;
mod websocket;

use batch::batch_len;
pub use config::{Close, Config, Register};
pub use embedded::EmbeddedBus;
pub use error::Error;
pub use http::HttpBus;
pub use interface::{Bus, Endpoint, Membership};
pub use websocket::WebSocketBus;
