//! Bytes to types and back: registrations, leases and verdicts. Both ends of our own calls read and write them here.

mod announcement;
mod fields;
mod landscape;
mod listing;
mod status;

pub use announcement::{Address, Announcement, Lease, Registration};
pub use landscape::{Service, landscape_from_json};
pub use listing::{Configuration, InstanceRow, Receivers, ServiceRow, Undelivered};
pub use status::{Delivery, Verdict};

/// The header of `POST /send` and `POST /send/{message}` that tells which registered instance sends.
pub const INSTANCE_HEADER: &str = "exo-instance";
