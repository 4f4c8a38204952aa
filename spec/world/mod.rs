//! State of scenarios, one module per kind.

pub mod authority;
pub mod broker;
pub mod eventually;
pub mod exocom;
pub mod http;
pub mod mock;
pub mod original;
pub mod process;
pub mod raw;
pub mod relays;
pub mod samples;
pub mod service;
mod stage;
pub mod streams;

pub use stage::World;
