//! What the relay decides, without clock or socket: who waits for which reply, what was seen before, who may run, what
//! is leased to whom, and what is kept when all fails.

mod dead_letters;
mod gate;
mod keys;
mod leases;
mod seen;
mod waiters;
mod watchers;

pub(crate) use dead_letters::DeadLetters;
pub use dead_letters::{DeadLetter, DeadLetterId, Direction};
pub(crate) use gate::{Entry, Gate};
pub(crate) use keys::Keys;
pub(crate) use leases::{Leases, Offered};
pub(crate) use seen::Seen;
pub(crate) use waiters::{Full, Late, Waiters};
pub(crate) use watchers::Watchers;
