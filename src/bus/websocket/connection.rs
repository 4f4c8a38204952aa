//! The owner's handle on an open connection.

use std::future::pending;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;

use super::handshake::Peer;
use super::session::{Batch, BusSession, Setup};
use crate::bus::Error;
use crate::message::{ActivityId, Inbox, MessageId, Verdict};
use crate::sync::lock;

/// Batches that may wait for the connection. Senders wait for their answers, so there is seldom more than one.
const BATCHES_MAX: usize = 8;

/// An open connection. A task runs its session, and ends it when this handle is dropped.
pub(super) struct Connection {
    pub(super) peer: Peer,
    authority: String,
    batches: mpsc::Sender<Batch>,
    /// Ends the session when it is dropped.
    leave: Mutex<Option<oneshot::Sender<()>>>,
    end: watch::Receiver<Option<Error>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Connection {
    /// Starts the session's task. Needs a tokio runtime.
    pub(super) fn start<S>(stream: WebSocketStream<S>, peer: Peer, inbox: Arc<dyn Inbox>, setup: Setup) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (batches, receiver) = mpsc::channel(BATCHES_MAX);
        let (leave, leaving) = oneshot::channel();
        let (ended, end) = watch::channel(None);
        let authority = setup.authority.clone();
        tracing::debug!(authority, "connected to the broker");
        let session = BusSession::new(peer, inbox, setup, receiver, leaving);
        let task = tokio::spawn(session.run(stream, ended));
        Self { peer, authority, batches, leave: Mutex::new(Some(leave)), end, task: Mutex::new(Some(task)) }
    }

    /// Returns true if the connection can still be used, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.end.borrow().is_none() && !self.batches.is_closed()
    }

    /// Sends frames (1 or more) and waits for one verdict per frame. Errors: the connection ended; the frames may have
    /// arrived nevertheless. Not cancel-safe: a dropped call may still send its frames.
    pub(super) async fn send(
        &self,
        frames: Vec<Bytes>,
        conversations: Vec<(ActivityId, MessageId)>,
    ) -> Result<Vec<Verdict>, Error> {
        let (verdicts, received) = oneshot::channel();
        if self.batches.send(Batch { frames, conversations, verdicts }).await.is_err() {
            return Err(self.end_error().await);
        }
        match received.await {
            Ok(verdicts) => Ok(verdicts),
            Err(_) => Err(self.end_error().await),
        }
    }

    /// Waits until the connection is lost; forever if its owner ends it. Cancel-safe.
    pub(super) async fn lost(&self) -> Error {
        match self.ended().await {
            Some(error) => error,
            None => pending().await,
        }
    }

    async fn end_error(&self) -> Error {
        let left = || Error::NotConnected { authority: self.authority.clone() };
        self.ended().await.unwrap_or_else(left)
    }

    /// Waits for the end. Returns `None` if the owner left.
    async fn ended(&self) -> Option<Error> {
        let mut end = self.end.clone();
        let reason = end.wait_for(Option::is_some).await.ok()?;
        reason.clone()
    }

    /// Ends the connection once everything sent is written, and waits for that: 2 seconds at most.
    pub(super) async fn leave(&self) {
        drop(lock(&self.leave).take());
        let task = lock(&self.task).take();
        if let Some(task) = task {
            // The runtime has reported the task's panic, if there was one.
            drop(task.await);
        }
    }
}
