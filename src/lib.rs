//! ExoRelay.
pub mod api;
pub mod app;
pub mod broker;
pub mod bus;
pub mod cli;
pub mod http;
pub mod listen;
pub mod message;
pub mod relay;
pub mod webhook;
pub use message::Message;
pub use relay::*;
