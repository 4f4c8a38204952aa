//! Pure rules of the incoming half: duplicates, concurrency, leases of subscribers, and waits for an activity.

mod gate;
mod leases;
mod seen;
mod watchers;

pub(super) use gate::{Entry, Gate};
pub(super) use leases::{Holder, Leases, Offered};
pub(super) use seen::Seen;
pub(super) use watchers::{Full, Watchers};
