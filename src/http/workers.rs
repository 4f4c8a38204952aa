//! Threads that serve connections, each with a runtime of its own.
//!
//! A connection stays with its worker from the first request to the last. Whatever it does is done there, so that one request
//! wakes one thread, where a runtime of many threads wakes a second one to look for more work; on a machine with little to do
//! that is most of what a request costs. What wakes it from other threads is gathered: see [`Inbox`].

mod here;
mod inbox;
#[cfg(test)]
mod tests;

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub(super) use self::here::speaks;
pub(crate) use self::here::{Turn, turn};
use self::inbox::{Gathered, Inbox};

/// The threads. A clone is the same ones; a listener that serves with them has one until it is drained or dropped. With the
/// last clone they end, and drop the connections they have.
#[derive(Clone)]
pub struct Workers(Arc<Threads>);

struct Threads {
    workers: Vec<Worker>,
    _ending: DropGuard,
}

struct Worker {
    runtime: Handle,
    inbox: Arc<Inbox>,
    /// How many connections it has.
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts so many threads. Errors: the system refuses a thread or its poll.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let ending = CancellationToken::new();
        let workers = (1..=count.get()).map(|number| Worker::start(number, ending.clone()));
        let workers = workers.collect::<io::Result<_>>();
        Ok(Self(Arc::new(Threads { _ending: ending.drop_guard(), workers: workers? })))
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
        Ok((stream, Seat { runtime, inbox, connections: Arc::clone(&worker.connections) }))
    }
}

impl Worker {
    fn start(number: usize, ending: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let inbox = Arc::new(Inbox::default());
        let served = Arc::clone(&inbox);
        let serve = move || serve(runtime, &served, &ending);
        std::thread::Builder::new().name(format!("worker-{number}")).spawn(serve)?;
        Ok(Self { runtime: handle, inbox, connections: Arc::default() })
    }
}

fn serve(runtime: Runtime, inbox: &Inbox, ending: &CancellationToken) {
    here::belongs_to(inbox.id());
    runtime.block_on(async {
        tokio::select! {
            never = inbox.wake_all() => match never {},
            () = ending.cancelled() => {}
        }
    });
    // What cannot be cancelled, such as a name being looked up, is not waited for.
    runtime.shutdown_background();
}

/// A connection's place with its worker, until it is dropped.
pub(super) struct Seat {
    runtime: Handle,
    inbox: Arc<Inbox>,
    connections: Arc<AtomicUsize>,
}

impl Seat {
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
