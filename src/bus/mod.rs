//! How a relay reaches the others: a broker in the same process, or an ExoCom broker over HTTP.
//!
//! Every implementation passes the one suite in `contract.rs`, which is this trait's documentation in running form.

mod config;
#[cfg(test)]
mod contract;
mod embedded;
mod error;
mod http;
mod way;

pub use config::{Config, Register};
pub use embedded::EmbeddedBus;
pub use error::Error;
pub use http::HttpBus;
pub use way::{Bus, Endpoint, Membership};

pub use crate::broker::{Delivery, Inbox, Registration, Verdict};
