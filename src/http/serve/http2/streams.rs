//! The requests in progress of one HTTP/2 connection, each in a task of its own.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::task::TaskTracker;

use super::pieces::Progress;
use crate::http::serve::permit::ConnectionPermit;
use crate::sync::lock;

/// Runs the requests of a connection where the connection runs. Cheap to clone.
#[derive(Clone)]
pub(super) struct Streams(Arc<Inner>);

struct Inner {
    permit: ConnectionPermit,
    connections: TaskTracker,
    write_timeout: Duration,
    /// The request that has begun last. hyper spawns its task right afterwards.
    begun: Mutex<Option<Progress>>,
    open: watch::Sender<usize>,
}

impl Streams {
    pub(super) fn new(permit: ConnectionPermit, connections: TaskTracker, write_timeout: Duration) -> Self {
        let open = watch::Sender::new(0);
        Self(Arc::new(Inner { permit, connections, write_timeout, begun: Mutex::default(), open }))
    }

    /// Begins a request, and returns the progress of its answer.
    pub(super) fn begin(&self) -> Progress {
        let progress = Progress::default();
        *lock(&self.0.begun) = Some(progress.clone());
        progress
    }

    /// Waits until no request was open for `time`. Cancel-safe.
    pub(super) async fn idle(&self, time: Duration) {
        let mut open = self.0.open.subscribe();
        loop {
            // The sender is in `self`.
            let is_known = open.wait_for(|open| *open == 0).await.is_ok();
            if !is_known || timeout(time, open.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let progress = lock(&self.0.begun).take().unwrap_or_default();
        let open = OpenStream::new(&self.0);
        let write_timeout = self.0.write_timeout;
        let running = async move {
            let _open = open;
            unless_stalled(stream, &progress, write_timeout).await;
        };
        self.0.permit.spawn(&self.0.connections, running);
    }
}

/// A request that is open until it is dropped.
struct OpenStream(Arc<Inner>);

impl OpenStream {
    fn new(inner: &Arc<Inner>) -> Self {
        inner.open.send_modify(|open| *open += 1);
        Self(Arc::clone(inner))
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

/// Runs `stream` until it ends, or its client has taken nothing of the answer for `write_timeout`: dropping it then cancels the
/// request.
async fn unless_stalled(stream: impl Future<Output = ()>, progress: &Progress, write_timeout: Duration) {
    let mut stream = pin!(stream);
    let mut stalled: Option<(u64, Pin<Box<Sleep>>)> = None;
    poll_fn(|context: &mut Context<'_>| {
        if stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let Some(piece) = progress.waiting() else {
            stalled = None;
            return Poll::Pending;
        };
        match &mut stalled {
            Some((waiting, timer)) if *waiting == piece => timer.as_mut().poll(context),
            _ => stalled.insert((piece, Box::pin(sleep(write_timeout)))).1.as_mut().poll(context),
        }
    })
    .await;
}
