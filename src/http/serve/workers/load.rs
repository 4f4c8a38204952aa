//! Current load of one worker, for handlers that may block its thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The worker thread that serves a request. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WorkerHandle(Arc<Load>);

#[derive(Debug)]
struct Load {
    worker: u64,
    /// Requests that are not answered yet.
    open_requests: AtomicUsize,
    /// The connection of the last request.
    last_connection: AtomicU64,
    /// Incremented when a request comes from another connection than the one before it.
    streak: AtomicU64,
}

/// A run of requests to one worker that all came from one connection. Two equal values mean that the worker got no request
/// from any other connection in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Streak {
    worker: u64,
    number: u64,
}

/// Counts a request as open until it is dropped.
pub(in crate::http) struct OpenRequest(WorkerHandle);

impl WorkerHandle {
    /// A worker without requests. `worker` is unique in this process.
    pub(super) fn new(worker: u64) -> Self {
        let (open_requests, last_connection, streak) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self(Arc::new(Load { worker, open_requests, last_connection, streak }))
    }

    /// Counts a request that has come on a connection of this worker. `connection` is unique in this process, and not 0.
    pub(in crate::http) fn open_request(&self, connection: u64) -> OpenRequest {
        let load = &self.0;
        if load.last_connection.swap(connection, Ordering::Relaxed) != connection {
            load.streak.fetch_add(1, Ordering::Relaxed);
        }
        load.open_requests.fetch_add(1, Ordering::Relaxed);
        OpenRequest(self.clone())
    }

    /// Returns the run of requests that the caller's request belongs to; `None` if another request is open on the worker.
    pub(crate) fn streak(&self) -> Option<Streak> {
        // Only the worker's own thread changes these, and it is the one that asks.
        let alone = self.0.open_requests.load(Ordering::Relaxed) == 1;
        alone.then(|| Streak { worker: self.0.worker, number: self.0.streak.load(Ordering::Relaxed) })
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.0.open_requests.fetch_sub(1, Ordering::Relaxed);
    }
}
