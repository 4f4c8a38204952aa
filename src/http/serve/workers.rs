//! Threads that serve connections, each with a runtime of its own.
//!
//! A connection stays with its worker from the first request to the last, so a request wakes one thread. A multi-thread
//! runtime wakes a second one to look for more work, which is most of the cost of a request on an idle machine. Wake-ups from
//! other threads are batched, see [`WakeQueue`].

mod load;
#[cfg(test)]
mod tests;
mod wakes;

use std::convert::Infallible;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::load::Streak;
pub use self::load::WorkerHandle;
use self::wakes::{Routed, WakeQueue};
use super::opening::Accepted;

/// Maximum time to wait for the threads to end: one of them may be in the middle of a write to the disk.
const END_GRACE: Duration = Duration::from_secs(1);

/// Maximum number of blocking threads of all workers together; tokio's default is as many for each runtime.
const BLOCKING_THREADS_MAX: usize = 512;

/// The number of the next worker of this process.
static WORKERS: AtomicU64 = AtomicU64::new(1);

/// The threads of one listener. They end when it has drained, together with the connections that are left; without a drain,
/// with the runtime that the listener was opened on.
pub struct Workers(Arc<Threads>);

struct Threads {
    workers: Vec<Worker>,
    ending: CancellationToken,
    /// Disconnected when the last thread has ended; each thread holds a sender.
    ended: Mutex<Receiver<Infallible>>,
}

struct Worker {
    runtime: Handle,
    wakes: Arc<WakeQueue>,
    handle: WorkerHandle,
    /// Number of open connections.
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `count` threads. Errors: the system refuses a thread or its epoll instance.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let (alive, ended) = sync_channel(1);
        let (workers, ending) = (Vec::with_capacity(count.get()), CancellationToken::new());
        let mut threads = Threads { workers, ending, ended: Mutex::new(ended) };
        let blocking_threads = (BLOCKING_THREADS_MAX / count).max(1);
        for number in 1..=count.get() {
            let mut runtime = Builder::new_current_thread();
            let runtime = runtime.enable_all().max_blocking_threads(blocking_threads).build()?;
            threads.workers.push(Worker::start(number, runtime, threads.ending.clone(), alive.clone())?);
        }
        Ok(Self(Arc::new(threads)))
    }

    /// Returns another handle, for the accept loop.
    pub(super) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Assigns a connection to the worker that has the fewest. Errors: the worker's epoll instance refuses the socket.
    pub(super) fn assign(&self, accepted: Accepted) -> io::Result<(Accepted, WorkerSlot)> {
        let fewest = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        let Some(worker) = self.0.workers.iter().min_by_key(fewest) else {
            return Err(io::Error::other("there is no worker"));
        };
        let accepted = accepted.moved(&worker.runtime)?;
        worker.connections.fetch_add(1, Ordering::Relaxed);
        let (runtime, wakes) = (worker.runtime.clone(), Arc::clone(&worker.wakes));
        let (handle, connections) = (worker.handle.clone(), Arc::clone(&worker.connections));
        Ok((accepted, WorkerSlot { runtime, wakes, handle, connections }))
    }
}

impl Drop for Threads {
    /// Ends the threads. Connections may hold the last reference to a store, which writes when it is closed; so this blocks
    /// until they have ended, for [`END_GRACE`] at most.
    fn drop(&mut self) {
        self.ending.cancel();
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(END_GRACE) {
            tracing::warn!("worker threads have not ended after {END_GRACE:?}");
        }
    }
}

impl Worker {
    fn start(
        number: usize,
        runtime: Runtime,
        ending: CancellationToken,
        alive: SyncSender<Infallible>,
    ) -> io::Result<Self> {
        let handle = runtime.handle().clone();
        let wakes = Arc::new(WakeQueue::default());
        let worker = WorkerHandle::new(WORKERS.fetch_add(1, Ordering::Relaxed));
        let served = Arc::clone(&wakes);
        let serve = move || {
            serve(runtime, &served, &ending);
            drop(alive);
        };
        std::thread::Builder::new().name(format!("worker-{number}")).spawn(serve)?;
        Ok(Self { runtime: handle, wakes, handle: worker, connections: Arc::default() })
    }
}

fn serve(runtime: Runtime, wakes: &WakeQueue, ending: &CancellationToken) {
    wakes.belongs_to_this_thread();
    runtime.block_on(async {
        tokio::select! {
            never = wakes.wake_all() => match never {},
            () = ending.cancelled() => {}
        }
    });
    // Reads of the store cannot be cancelled; they get half of the grace time.
    runtime.shutdown_timeout(END_GRACE / 2);
}

/// A connection's slot with its worker, until it is dropped.
pub(super) struct WorkerSlot {
    runtime: Handle,
    wakes: Arc<WakeQueue>,
    handle: WorkerHandle,
    connections: Arc<AtomicUsize>,
}

impl WorkerSlot {
    /// Returns the worker.
    pub(super) fn worker(&self) -> &WorkerHandle {
        &self.handle
    }

    /// Spawns `work` on the worker.
    pub(super) fn spawn(&self, tasks: &TaskTracker, work: impl Future<Output = ()> + Send + 'static) {
        tasks.spawn_on(Routed::new(Arc::clone(&self.wakes), work), &self.runtime);
    }
}

impl Drop for WorkerSlot {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
