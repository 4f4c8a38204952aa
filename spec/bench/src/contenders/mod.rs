//! The contenders, and their start.

mod contender;
mod envoy;
mod exorelay;
mod moleculer;
mod nats;

pub use contender::{Contender, Name, own_service};
pub use exorelay::{Sidecar, ready};
pub use nats::start_server as start_nats_server;
