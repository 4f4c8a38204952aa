//! The server under every listener: connections and their limits, worker threads, and the drain.

mod answering;
mod authorized;
mod closing;
mod connection;
mod descriptors;
mod framing;
mod guarded;
mod live;
mod metrics;
mod permit;
mod server;
mod shared;
mod stalled;
mod timer;
mod unread;
mod workers;

pub use answering::{Answering, Answers, Caller, Peer};
pub(crate) use closing::CloseControl;
pub(crate) use live::live;
pub(crate) use metrics::ListenerMetrics;
pub use permit::ConnectionPermit;
pub use server::{BindError, Listening, Serving};
pub(crate) use workers::Streak;
pub use workers::{WorkerHandle, Workers};
