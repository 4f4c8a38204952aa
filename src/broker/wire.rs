//! Bytes to types and back: registrations, leases and verdicts. Both ends of our own calls read and write them here.

mod announcement;
mod fields;
mod frame;
mod landscape;
mod listing;
mod status;
mod traffic;
mod translation;

pub use announcement::{Address, Announcement, Lease};
pub use frame::{ACKS_HEADER, Dialect, Frame, Hello, Stamp, alive_frame, delivery_frame, sending_frame};
pub use landscape::{Application, Changes, Form, Landscape, Part, RoleRoutes};
pub use listing::{
    ClientRow, Configuration, InstanceRow, Listing, NamespaceRow, Receivers, RouteRow, ServiceRow, Undelivered,
};
pub(super) use traffic::millis;
pub use traffic::{Activity, ActivityRow, Fate, Missed, ReceiverRow, TrafficRow, UndeliveredRow};
pub use translation::{Pair, Translation};

/// The header of `POST /send` and `POST /send/{message}` that tells which registered instance sends.
pub const INSTANCE_HEADER: &str = "exo-instance";
