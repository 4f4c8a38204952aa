//! An open connection, seen from its owner.

use std::future::pending;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;

use super::driver::{Driver, Setup};
use super::handshake::Peer;
use crate::bus::Error;
use crate::message::{ActivityId, Inbox, MessageId, Verdict};
use crate::sync::lock;

/// Parcels that may wait for the connection. Senders wait for their answers, so there is seldom more than one.
const PARCELS_MAX: usize = 8;

/// Frames that are sent together, each of which is answered.
pub(super) struct Parcel {
    pub(super) frames: Vec<Bytes>,
    /// Which message is now the last of which conversation; only for brokers that do not tell what a message answers.
    pub(super) conversations: Vec<(ActivityId, MessageId)>,
    /// One verdict per frame, in their order. Dropped if the connection ends first.
    pub(super) judged: oneshot::Sender<Vec<Verdict>>,
}

/// An open connection. A task of its own drives it, which ends the connection when this is dropped.
pub(super) struct Connection {
    pub(super) peer: Peer,
    authority: String,
    parcels: mpsc::Sender<Parcel>,
    /// Tells the task to end the connection; dropping it does the same.
    leave: Mutex<Option<oneshot::Sender<()>>>,
    end: watch::Receiver<Option<Error>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Connection {
    /// Starts the task. Needs a tokio runtime.
    pub(super) fn start<S>(stream: WebSocketStream<S>, peer: Peer, inbox: Arc<dyn Inbox>, setup: Setup) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (parcels, receiver) = mpsc::channel(PARCELS_MAX);
        let (leave, leaving) = oneshot::channel();
        let (ended, end) = watch::channel(None);
        let authority = setup.authority.clone();
        let driver = Driver::new(stream, peer, inbox, setup);
        let task = tokio::spawn(driver.run(receiver, leaving, ended));
        Self { peer, authority, parcels, leave: Mutex::new(Some(leave)), end, task: Mutex::new(Some(task)) }
    }

    /// Whether it can still be used, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.end.borrow().is_none() && !self.parcels.is_closed()
    }

    /// Sends frames (1 or more) and waits for a verdict about each. Errors: the connection ended; whether the frames
    /// arrived is unknown then. Not cancel-safe in the same sense.
    pub(super) async fn send(
        &self,
        frames: Vec<Bytes>,
        conversations: Vec<(ActivityId, MessageId)>,
    ) -> Result<Vec<Verdict>, Error> {
        let (judged, verdicts) = oneshot::channel();
        if self.parcels.send(Parcel { frames, conversations, judged }).await.is_err() {
            return Err(self.why_it_ended().await);
        }
        match verdicts.await {
            Ok(verdicts) => Ok(verdicts),
            Err(_) => Err(self.why_it_ended().await),
        }
    }

    /// Waits until the connection is lost; for ever, if its owner ends it. Cancel-safe.
    pub(super) async fn lost(&self) -> Error {
        match self.ended().await {
            Some(error) => error,
            None => pending().await,
        }
    }

    async fn why_it_ended(&self) -> Error {
        let left = || Error::NotConnected { authority: self.authority.clone() };
        self.ended().await.unwrap_or_else(left)
    }

    /// Waits for the end. `None` if the owner wanted it.
    async fn ended(&self) -> Option<Error> {
        let mut end = self.end.clone();
        let reason = end.wait_for(Option::is_some).await.ok()?;
        reason.clone()
    }

    /// Ends the connection, after what was sent has left, and waits for that: 2 seconds at most.
    pub(super) async fn leave(&self) {
        drop(lock(&self.leave).take());
        let task = lock(&self.task).take();
        if let Some(task) = task {
            // A panic of the task has been told by the runtime.
            drop(task.await);
        }
    }
}
