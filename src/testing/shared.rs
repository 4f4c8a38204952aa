//! State that a mock broker's handle, listener and connections share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::Error;
use super::record::{Record, Reply};
use super::service::{Service, Target};
use crate::http::{Client, ClientLimits, Limits};
use crate::message::{Message, MessageId};

/// Timeout of one call to a service, including its handler if it responds only after that.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest response of a service that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Replies that may wait for services over HTTP.
const REPLIES_WAITING_MAX: usize = 1_024;

/// The record of a mock broker, with what its listener and connections need to serve it.
pub(super) struct Shared {
    record: Mutex<Record>,
    /// Counts changes of the record, for the waits.
    changes: watch::Sender<u64>,
    pub(super) limits: Limits,
    pub(super) client: Client,
    /// Queue of replies to services that listen over HTTP.
    replies: mpsc::Sender<(Service, Message)>,
    /// Ends the current connections; replaced for later ones.
    cut: Mutex<CancellationToken>,
    pub(super) tasks: TaskTracker,
}

impl Shared {
    /// Creates an empty record, and returns the queue of replies to deliver over HTTP. The queue ends when the last
    /// `Shared` is dropped, so the task that reads it must not keep one alive.
    pub(super) fn new(limits: Limits) -> (Arc<Self>, mpsc::Receiver<(Service, Message)>) {
        let (replies, queue) = mpsc::channel(REPLIES_WAITING_MAX);
        let client = Client::new(ClientLimits {
            connect_timeout: CALL_TIMEOUT,
            timeout: CALL_TIMEOUT,
            answer_bytes_max: ANSWER_BYTES_MAX,
        });
        let shared = Self {
            record: Mutex::default(),
            changes: watch::Sender::new(0),
            limits,
            client,
            replies,
            cut: Mutex::default(),
            tasks: TaskTracker::new(),
        };
        (Arc::new(shared), queue)
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a receiver that changes whenever the record does.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Adds a service and wakes the waits.
    pub(super) fn add(&self, service: Service) -> Result<(), Error> {
        self.record().add(service)?;
        self.changed();
        Ok(())
    }

    /// Adds a connected service, unless its connection has been cut meanwhile.
    pub(super) fn add_connected(&self, service: Service, cut: &CancellationToken) -> Result<(), Error> {
        let mut record = self.record();
        if !cut.is_cancelled() {
            record.add(service)?;
        }
        drop(record);
        self.changed();
        Ok(())
    }

    /// Records a message, and replies to it if its name has a reply. `find_sender` looks up the service that sent it.
    /// Returns false if the record is full.
    pub(super) fn receive(&self, message: Message, find_sender: impl FnOnce(&Record) -> Option<Service>) -> bool {
        let mut record = self.record();
        let reply = record.reply_to(&message.name).map(|reply| compose(reply, &message));
        let name = message.name.clone();
        let recorded = record.receive(message);
        if let Some(reply) = reply.filter(|_| recorded) {
            match find_sender(&record) {
                Some(service) => self.send_reply(&mut record, service, reply),
                None => record.note_error(format!("the reply to '{name}' was dropped: its sender is not known")),
            }
        }
        drop(record);
        self.changed();
        recorded
    }

    fn send_reply(&self, record: &mut Record, service: Service, reply: Message) {
        let (role, name) = (service.role.clone(), reply.name.clone());
        let sent = match &service.target {
            Target::Socket { .. } => service.push(&reply).is_ok(),
            Target::Http { .. } => self.replies.try_send((service, reply)).is_ok(),
        };
        if !sent {
            record.note_error(format!("the reply '{name}' was dropped: the queue to '{role}' is full or closed"));
        }
    }

    /// Notes an error for the message of a test that fails.
    pub(super) fn note_error(&self, error: String) {
        tracing::debug!(error, "mock broker");
        self.record().note_error(error);
    }

    /// Returns the token that ends connections made now.
    pub(super) fn cut(&self) -> CancellationToken {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the current connections and forgets the services that registered themselves.
    pub(super) fn cut_connections(&self) {
        let mut record = self.record();
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *cut).cancel();
        record.forget_registered();
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

fn compose(reply: &Reply, request: &Message) -> Message {
    let mut message = Message::new(MessageId::from_uuid(Uuid::now_v7()), reply.name.clone());
    message.payload = reply.payload.clone();
    message.response_to = Some(request.id.clone());
    message.activity_id = Some(request.conversation());
    message.auth = request.auth.clone();
    message.is_security = request.is_security;
    message
}
