//! WebSockets of both ends: the upgrade of a request, and the frames of one connection.

mod socket;
mod upgrade;

pub(crate) use socket::{Ending, Reading, Socket, Traffic};
pub(crate) use upgrade::{Accepted, upgrade};
