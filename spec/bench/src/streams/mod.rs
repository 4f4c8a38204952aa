//! Durable streams beside their peers: appends, creates, reads, events, memory, and opening a store.

mod bars;
mod calls;
mod client;
mod compare;
mod contender;
mod disk;
mod follow;
mod loads;
mod memory;
mod opening;
mod report;
mod turns;

pub use compare::compare;
pub use contender::Name;
pub use loads::Family;
