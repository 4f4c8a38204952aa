//! State of a scenario about `exocom`: the program, and services that speak to it over WebSockets.

mod peer;
mod stage;

pub use peer::{Dialect, End, Peer};
pub use stage::World;
