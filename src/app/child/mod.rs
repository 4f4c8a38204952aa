//! A service that runs beside its sidecar as a process of it: `exorelay run … -- node users.mjs`.
//!
//! It is started with the port to listen on in `PORT`, gets its first message once it accepts connections, is started again
//! when it ends, and is stopped after the sidecar has drained. All its processes end with it.

mod address;
mod group;
mod lines;
mod output;
mod restarts;
mod service;
mod signals;
mod supervisor;

pub(crate) use address::reachable;
pub(crate) use group::ProcessGroup;
pub(super) use service::Prepared;
pub use service::{Restart, ServiceCommand};
pub(super) use supervisor::Supervised;
