//! Services that the mock broker can send messages to.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Error;
use crate::broker::{Dialect, Stamp, delivery_frame};
use crate::message::{InstanceId, Message, Role};

/// Frames that may wait for a service that does not read.
pub(super) const FRAMES_WAITING_MAX: usize = 1_024;

/// A service that can be sent messages.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) role: Role,
    pub(super) instance: Option<InstanceId>,
    pub(super) origin: Origin,
    pub(super) target: Target,
}

/// The party that made a service known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The test, through [`super::MockBroker::register`].
    Test,
    /// The service, which registered over HTTP or a WebSocket.
    Registration,
}

/// The means of reaching a service.
#[derive(Clone)]
pub(super) enum Target {
    /// `POST {url}/run/{name}`.
    Http { url: String },
    /// The service's own connection.
    Socket { connection: u64, dialect: Dialect, frames: mpsc::Sender<Bytes> },
}

impl Service {
    /// Queues a message on the service's connection. A connection that has just ended counts as an unknown service, and
    /// so does a service over HTTP.
    pub(super) fn push(&self, message: &Message) -> Result<(), Error> {
        let role = self.role.clone();
        let Target::Socket { dialect, frames, .. } = &self.target else { return Err(Error::UnknownService(role)) };
        let stamp = Stamp { timestamp: std::time::SystemTime::now(), response_time: None };
        frames.try_send(delivery_frame(message, *dialect, Some(&stamp))).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy { role, frames_max: FRAMES_WAITING_MAX },
            mpsc::error::TrySendError::Closed(_) => Error::UnknownService(role),
        })
    }

    pub(super) fn is_connection(&self, number: u64) -> bool {
        match &self.target {
            Target::Http { .. } => false,
            Target::Socket { connection, .. } => *connection == number,
        }
    }

    /// Returns true if this service takes the place of `known`: a connection or an instance has a role once, and so has
    /// the test.
    pub(super) fn replaces(&self, known: &Self) -> bool {
        let same_target = match (&known.target, &self.target) {
            (Target::Socket { connection: one, .. }, Target::Socket { connection: other, .. }) => one == other,
            (Target::Http { .. }, Target::Http { .. }) => known.instance == self.instance,
            (Target::Socket { .. }, Target::Http { .. }) | (Target::Http { .. }, Target::Socket { .. }) => false,
        };
        known.role == self.role && same_target
    }
}
