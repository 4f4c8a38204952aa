//! ExoRelay.
pub mod broker;
pub mod bus;
pub mod http;
pub mod message;
pub mod relay;
pub mod webhook;
pub use relay::*;
pub use message::Message;
