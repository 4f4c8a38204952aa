//! WebSockets of both ends: the upgrade of a request, and the loop that drives a connection.

#[cfg(test)]
mod fuzz;
mod heartbeat;
mod metered;
mod queue;
mod session;
mod socket;
mod upgrade;

pub(crate) use metered::{FrameMeter, FrameRefused};
pub(crate) use queue::{QueueState, SendQueue};
pub(crate) use session::{Lost, Session, drive, now};
pub(crate) use socket::{Ending, Reading, Socket};
pub(crate) use upgrade::{Accepted, UpgradeError, upgrade};
