//! The resources that a connection holds at its listener.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::AddressSlot;
use super::metrics::OpenConnection;
use super::workers::{WorkerHandle, WorkerSlot};

/// The stop of a listener, and the tasks of all its connections.
pub(super) type Tasks = (CancellationToken, TaskTracker);

/// One of `connections_max` connections, and of those of its client, and its slot with a worker. An extension of upgrade requests: the handler that
/// takes the connection over keeps it for as long as the connection lives.
#[derive(Clone)]
pub struct ConnectionPermit(Arc<Held>);

struct Held {
    _permit: Option<OwnedSemaphorePermit>,
    _address: Option<AddressSlot>,
    _open: Option<OpenConnection>,
    slot: Option<WorkerSlot>,
}

impl ConnectionPermit {
    pub(super) fn new(
        (_permit, _address): (Option<OwnedSemaphorePermit>, Option<AddressSlot>),
        slot: Option<WorkerSlot>,
        _open: Option<OpenConnection>,
    ) -> Self {
        Self(Arc::new(Held { _permit, _address, _open, slot }))
    }

    /// Returns the worker that serves the connection, if the listener has workers.
    pub(super) fn worker(&self) -> Option<&WorkerHandle> {
        self.0.slot.as_ref().map(WorkerSlot::worker)
    }

    /// Spawns `work` on the connection's worker, or on the current runtime if there is none.
    pub(super) fn spawn(&self, tasks: &TaskTracker, work: impl Future<Output = ()> + Send + 'static) {
        match &self.0.slot {
            Some(slot) => slot.spawn(tasks, work),
            None => drop(tasks.spawn(work)),
        }
    }
}
