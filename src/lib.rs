//! ExoRelay.
pub mod http;
pub mod message;
