//! Wire formats of the broker: registrations, leases, verdicts, frames and landscapes, for both ends of a call. Pure.

mod announcement;
mod delivery_body;
mod fields;
mod frame;
mod landscape;
mod listing;
mod status;
mod traffic;
mod translation;

pub use announcement::{Address, Announcement, Lease};
pub use delivery_body::original_body;
pub use frame::{ACKS_HEADER, Dialect, Frame, Hello, Stamp, alive_frame, delivery_frame, sending_frame};
pub use landscape::{Application, Changes, Form, Landscape, Part, RoleRoutes};
pub use listing::{
    AbsentRow, ClientRow, Configuration, InstanceRow, Listing, NamespaceRow, Receivers, RouteRow, ServiceRow,
    Undelivered,
};
pub(super) use traffic::millis;
pub use traffic::{Activity, ActivityRow, Fate, Missed, ReceiverRow, TrafficRow, UndeliveredRow};
pub use translation::{Pair, Translation};

/// Header of `POST /send` and `POST /send/{message}` that names the sending instance.
pub const INSTANCE_HEADER: &str = "exo-instance";
