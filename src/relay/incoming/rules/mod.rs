//! Pure rules of the incoming half: duplicates, concurrency, leases of subscribers, and waits for an activity.

mod answerable;
mod followers;
mod gate;
mod leases;
mod occasional;
mod seen;
mod service_envelope;
mod watchers;

pub(super) use answerable::Answerable;
pub(super) use followers::Holder;
pub(super) use gate::{Entry, Gate};
pub(super) use leases::{LeaseLimits, Leases, Offered};
pub(super) use occasional::Occasional;
pub(super) use seen::{Fingerprint, Seen, Sight};
pub(crate) use service_envelope::service_envelope;
pub(super) use watchers::{Full, Watchers};
