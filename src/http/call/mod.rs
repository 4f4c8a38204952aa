//! Outgoing calls: the client, its pool of connections, its errors, and the backoff between attempts.

mod backoff;
mod client;
mod error;
mod pool;
mod shelf;

pub(crate) use backoff::Backoff;
pub use client::{Answer, Client, ClientLimits};
pub(crate) use client::{join, wait_asked};
pub use error::ClientError;
