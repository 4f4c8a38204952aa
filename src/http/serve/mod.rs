//! The server under every listener: connections and their limits, worker threads, and the drain.

mod answering;
mod live;
mod place;
mod server;
mod shared;
mod stalled;
mod timer;
mod workers;

pub use answering::{Answering, Answers, Caller, Peer};
pub(crate) use live::live;
pub use place::Place;
pub use server::{BindError, Listening, Serving};
pub(crate) use workers::Streak;
pub use workers::{WorkerHandle, Workers};
