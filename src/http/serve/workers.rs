//! Threads that serve connections, each with a runtime of its own.
//!
//! A connection stays with its worker from the first request to the last. Whatever it does is done there, so that one request
//! wakes one thread, where a runtime of many threads wakes a second one to look for more work; on a machine with little to do
//! that is most of what a request costs. What wakes it from other threads is gathered: see [`Inbox`].

mod inbox;
mod load;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::inbox::{Gathered, Inbox};
pub(crate) use self::load::Streak;
pub use self::load::WorkerHandle;

/// How long the end of the threads is waited for: one of them may be in the middle of a write to the disk.
const END_GRACE: Duration = Duration::from_secs(1);

/// What waits for the disk beside all workers together, at most; a runtime would allow as many for each.
const BLOCKING_THREADS_MAX: usize = 512;

/// The number of the next worker of this process.
static WORKERS: AtomicU64 = AtomicU64::new(1);

/// The threads of one listener. They end when it is drained, with the connections that a drain leaves; or, without a drain,
/// with the runtime that the listener was opened on.
pub struct Workers(Arc<Threads>);

struct Threads {
    workers: Vec<Worker>,
    ending: CancellationToken,
    /// Hears when the last thread has ended; each has a sender until then.
    ended: Mutex<Receiver<Infallible>>,
}

struct Worker {
    runtime: Handle,
    inbox: Arc<Inbox>,
    handle: WorkerHandle,
    /// How many connections it has.
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts so many threads. Errors: the system refuses a thread or its poll.
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

    /// For whoever accepts connections for them.
    pub(super) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// A seat with the worker that has the fewest connections. Errors: the system refuses the connection to its poll.
    pub(super) fn seat(&self, stream: TcpStream) -> io::Result<(TcpStream, Seat)> {
        let fewest = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        let Some(worker) = self.0.workers.iter().min_by_key(fewest) else {
            return Err(io::Error::other("there is no worker"));
        };
        let stream = stream.into_std()?;
        let _poll = worker.runtime.enter();
        let stream = TcpStream::from_std(stream)?;
        worker.connections.fetch_add(1, Ordering::Relaxed);
        let (runtime, inbox) = (worker.runtime.clone(), Arc::clone(&worker.inbox));
        let (handle, connections) = (worker.handle.clone(), Arc::clone(&worker.connections));
        Ok((stream, Seat { runtime, inbox, handle, connections }))
    }
}

impl Drop for Threads {
    /// Ends them. What their connections held is let go of then, such as a store that writes its last when it is closed; so
    /// this blocks until they have ended, for a second at most.
    fn drop(&mut self) {
        self.ending.cancel();
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(END_GRACE) {
            tracing::warn!("threads that served connections are left behind: they have not ended after {END_GRACE:?}");
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
        let inbox = Arc::new(Inbox::default());
        let worker = WorkerHandle::new(WORKERS.fetch_add(1, Ordering::Relaxed));
        let served = Arc::clone(&inbox);
        let serve = move || {
            serve(runtime, &served, &ending);
            drop(alive);
        };
        std::thread::Builder::new().name(format!("worker-{number}")).spawn(serve)?;
        Ok(Self { runtime: handle, inbox, handle: worker, connections: Arc::default() })
    }
}

fn serve(runtime: Runtime, inbox: &Inbox, ending: &CancellationToken) {
    inbox.belongs_to_this_thread();
    runtime.block_on(async {
        tokio::select! {
            never = inbox.wake_all() => match never {},
            () = ending.cancelled() => {}
        }
    });
    // Reads of the store cannot be cancelled; they get half of the time.
    runtime.shutdown_timeout(END_GRACE / 2);
}

/// A connection's place with its worker, until it is dropped.
pub(super) struct Seat {
    runtime: Handle,
    inbox: Arc<Inbox>,
    handle: WorkerHandle,
    connections: Arc<AtomicUsize>,
}

impl Seat {
    /// The worker.
    pub(super) fn worker(&self) -> &WorkerHandle {
        &self.handle
    }

    /// Does `work` there.
    pub(super) fn spawn(&self, tasks: &TaskTracker, work: impl Future<Output = ()> + Send + 'static) {
        tasks.spawn_on(Gathered::new(Arc::clone(&self.inbox), work), &self.runtime);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
