//! Who is measured, and how each is started.

mod contender;
mod envoy;
mod exorelay;
mod moleculer;
mod nats;

pub use contender::{Contender, LOAD, Name, Sample, own_service};
pub use exorelay::{Sidecar, ready};
