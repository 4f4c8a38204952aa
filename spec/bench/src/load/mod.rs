//! The load generator: keeps a number of calls in flight, or sends at a fixed rate, and records what every call took.

mod generator;
mod http;
mod nats;
mod record;

pub use generator::{CALL_WAIT, Call, Measured, Phases, run};
pub use http::{HttpTarget, get_status};
pub use nats::{NatsCaller, NatsTarget};
pub use record::{Figures, Recorder};
