//! What a connection takes up at its listener.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::TaskTracker;

use super::workers::{Seat, WorkerHandle};

/// A connection's place within `connections_max`, and with its worker; an extension of requests that ask to take the
/// connection over. Whoever does keeps it.
#[derive(Clone)]
pub struct Place(Arc<Taken>);

struct Taken {
    _permit: OwnedSemaphorePermit,
    seat: Option<Seat>,
}

impl Place {
    pub(super) fn new(permit: OwnedSemaphorePermit, seat: Option<Seat>) -> Self {
        Self(Arc::new(Taken { _permit: permit, seat }))
    }

    /// The worker that serves the connection, if the listener has workers.
    pub(super) fn worker(&self) -> Option<&WorkerHandle> {
        self.0.seat.as_ref().map(Seat::worker)
    }

    /// Does `work` on the connection's worker, or on this runtime if there is none.
    pub(super) fn spawn(&self, tasks: &TaskTracker, work: impl Future<Output = ()> + Send + 'static) {
        match &self.0.seat {
            Some(seat) => seat.spawn(tasks, work),
            None => drop(tasks.spawn(work)),
        }
    }
}
