//! Pure rules of the incoming half: duplicates, concurrency, leases of subscribers, and waits for an activity.

mod followers;
mod gate;
mod hops;
mod leases;
mod occasional;
mod seen;
mod service_envelope;
mod watchers;

pub(super) use followers::Holder;
pub(super) use gate::{Entry, Gate};
pub(super) use hops::Hops;
pub(super) use leases::{LeaseLimits, Leases, Offered};
pub(super) use occasional::Occasional;
pub(super) use seen::{Fingerprint, Seen, Sight};
pub(crate) use service_envelope::service_envelope;
pub(super) use watchers::{Full, Watchers};
