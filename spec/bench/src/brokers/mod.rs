//! The broker beside its peers: round trips through it, one message to a hundred roles, and what idle connections cost.

mod bars;
mod compare;
mod contender;
mod fan;
mod idle;
mod memory;
mod report;
mod services;
mod sockets;

pub use compare::compare;
pub use contender::{Bus, Name};
pub use fan::fan;
pub use idle::idle;
pub use services::{requester, responder};
