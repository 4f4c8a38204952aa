//! Outgoing calls: the client, its pool of connections, and its errors.

mod client;
mod error;
mod pool;
mod shelf;

pub use client::{Answer, Client, ClientLimits};
pub(crate) use client::{join, wait_asked};
pub use error::ClientError;
