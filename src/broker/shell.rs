//! What stands around the rules: state, means, and the performing of effects.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::Config;
use super::courier;
use super::error::Error;
use super::journal::Journal;
use super::metrics::Metrics;
use super::rules::{Attempt, Effect, Endpoint, Envelope, Exchange, FailedDelivery, InstanceKey, Note, Reason, Work};
use super::traffic::Traffic;
use super::wire::{Lease, Undelivered};
use crate::http::Client;
use crate::message::{
    Delivery, Inbox, InstanceId, Message, MessageId, MessageName, Payload, Pending, Receipt, Registration, Role,
};
use crate::sync::lock;

/// How often leases, windows and conversations are looked at.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// The name of the message that tells a sender what could not be delivered, and of its sender.
const UNDELIVERED: &str = "exocom.undelivered";
const BROKER: &str = "exocom";

/// What the rules give back for an instance.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) inbox: Option<Arc<dyn Inbox>>,
    pub(crate) wake: Arc<Notify>,
    /// Deliveries to the inbox that it answers later, by the sequence number of their envelope.
    unanswered: Arc<Mutex<VecDeque<(u64, Pending<Delivery>)>>>,
}

/// State and means, shared by the handles and the couriers.
pub(crate) struct Shell {
    pub(crate) config: Config,
    pub(crate) client: Client,
    pub(crate) metrics: Metrics,
    pub(crate) stop: CancellationToken,
    pub(super) exchange: Mutex<Exchange<Handle>>,
    pub(super) traffic: Traffic,
    pub(super) journal: Mutex<Option<Journal>>,
    pub(super) settled: Notify,
    pub(super) tasks: TaskTracker,
    pub(super) runtime: runtime::Handle,
}

impl Handle {
    pub(super) fn remote() -> Self {
        Self::waking(Arc::new(Notify::new()))
    }

    /// A handle without an inbox: `wake` reports that there is something to deliver.
    pub(super) fn waking(wake: Arc<Notify>) -> Self {
        Self { inbox: None, wake, unanswered: Arc::default() }
    }

    /// The oldest delivery that the inbox has not answered yet.
    pub(super) fn next_unanswered(&self) -> Option<(u64, Pending<Delivery>)> {
        lock(&self.unanswered).pop_front()
    }
}

impl Shell {
    pub(crate) fn exchange(&self) -> MutexGuard<'_, Exchange<Handle>> {
        lock(&self.exchange)
    }

    /// What the courier should do next.
    pub(crate) fn take(&self, key: InstanceKey) -> Work {
        let mut effects = Vec::new();
        let work = self.exchange().take(Instant::now(), key, &mut effects);
        self.perform(effects);
        work
    }

    /// Tells how a delivery went.
    pub(crate) fn settle(self: &Arc<Self>, key: InstanceKey, attempt: Attempt) {
        let mut effects = Vec::new();
        let delivered = self.exchange().record_outcome(Instant::now(), key, attempt, &mut effects);
        self.metrics.delivered.inc_by(delivered as u64);
        self.perform(effects);
        self.settled.notify_waiters();
    }

    pub(super) fn register(
        self: &Arc<Self>,
        registration: Registration,
        place: Endpoint,
        inbox: Option<Arc<dyn Inbox>>,
    ) -> Result<Lease, Error> {
        let handle = Handle { inbox, ..Handle::remote() };
        let (role, instance) = (registration.role.clone(), registration.instance.clone());
        let mut effects = Vec::new();
        let added = self.exchange().register(Instant::now(), registration, place, handle.clone(), &mut effects)?;
        if let Some(key) = added {
            self.note(&Note::Registered { role, instance });
            self.spawn_courier(key, handle);
            self.log_configuration();
        }
        self.perform(effects);
        Ok(Lease { duration: self.config.lease(), batch_messages_max: self.config.batch_messages_max })
    }

    /// Registers the service at the other end of a socket. Errors: [`Error::Token`], [`Error::Full`],
    /// [`Error::InstanceTaken`], [`Error::Draining`].
    pub(crate) fn connect(&self, registration: Registration, handle: Handle) -> Result<InstanceKey, Error> {
        let (role, instance) = (registration.role.clone(), registration.instance.clone());
        let mut effects = Vec::new();
        let added = self.exchange().register(Instant::now(), registration, Endpoint::Socket, handle, &mut effects)?;
        self.note(&Note::Registered { role, instance });
        self.perform(effects);
        Ok(added.expect("whoever comes over a new socket has a new place"))
    }

    /// Takes over what the service at the other end of a socket says anew. Errors: [`Error::Token`].
    pub(crate) fn renew(&self, key: InstanceKey, registration: Registration) -> Result<(), Error> {
        let (role, instance) = (registration.role.clone(), registration.instance.clone());
        let mut effects = Vec::new();
        self.exchange().renew(Instant::now(), key, registration, &mut effects)?;
        self.note(&Note::Registered { role, instance });
        self.perform(effects);
        Ok(())
    }

    /// Takes the service at the other end of a socket off the roster; a delivery that is `out` was not delivered.
    pub(crate) fn disconnect(self: &Arc<Self>, key: InstanceKey, (role, instance): (Role, InstanceId), out: bool) {
        if !self.stop.is_cancelled() {
            self.note(&Note::Disconnected { role, instance });
        }
        let mut effects = Vec::new();
        self.exchange().disconnect(Instant::now(), key, &mut effects);
        self.perform(effects);
        if out {
            self.settle(key, Attempt::Unreachable { cause: "the connection ended".into() });
        }
    }

    /// Gives up a message for which there never was room.
    pub(crate) fn overflow(&self, origin: Option<&InstanceId>, message: Message) {
        let mut effects = Vec::new();
        self.exchange().overflow(Instant::now(), origin, message, &mut effects);
        self.perform(effects);
    }

    /// Runs a task that ends with the broker.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    pub(super) fn spawn_courier(self: &Arc<Self>, key: InstanceKey, handle: Handle) {
        self.tasks.spawn_on(courier::run(Arc::clone(self), key, handle), &self.runtime);
    }

    pub(super) fn log_configuration(&self) {
        self.log(|journal| journal.configured(self.exchange().registry().configuration()));
    }

    /// Writes to the message log, if there is one.
    fn log(&self, write: impl FnOnce(&Journal)) {
        if let Some(journal) = &*lock(&self.journal) {
            write(journal);
        }
    }

    pub(super) fn perform(&self, effects: Vec<Effect<Handle>>) {
        for effect in effects {
            match effect {
                Effect::Deliver { handle, key, envelope } => self.deliver(&handle, key, envelope),
                Effect::Wake { handle } => handle.wake.notify_one(),
                Effect::Undelivered { envelope, reason } => self.report(envelope, &reason),
                Effect::Note(note) => self.note(&note),
                Effect::Routed(routed) => self.log(|journal| journal.routed(routed)),
                Effect::Traced(trace) => self.traffic.pass(trace),
            }
        }
    }

    /// Tells an operator.
    pub(crate) fn note(&self, note: &Note) {
        self.log(|journal| journal.noted(note));
        match note {
            Note::Registered { role, instance } => tracing::info!(%role, %instance, "service registered"),
            Note::Disconnected { role, instance } => tracing::info!(%role, %instance, "service left"),
            Note::BadFrame { role, instance, cause, raw: _ } => {
                tracing::warn!(?role, ?instance, cause, "a frame cannot be understood");
            }
            // Its sender is told, or warned about where it cannot be.
            Note::NoReceivers { .. } => tracing::debug!("{note}"),
            Note::Forbidden { .. }
            | Note::NoService { .. }
            | Note::Unauthorized { .. }
            | Note::BadUpgrade { .. }
            | Note::StrayVerdict { .. }
            | Note::BadSecurityRequest { .. } => tracing::warn!("{note}"),
        }
    }

    /// Gives a message to a service of this process, in the publisher's thread.
    fn deliver(&self, handle: &Handle, key: InstanceKey, envelope: Envelope) {
        let Some(inbox) = &handle.inbox else { return };
        match inbox.deliver(envelope.message.clone()) {
            Receipt::Now(delivery) => self.delivered(key, envelope, delivery),
            Receipt::Later(pending) => self.defer(handle, key, envelope, pending),
        }
    }

    /// Leaves it to the courier of the instance to wait for the answer.
    fn defer(&self, handle: &Handle, key: InstanceKey, envelope: Envelope, pending: Pending<Delivery>) {
        let sequence = envelope.sequence;
        let mut exchange = self.exchange();
        match exchange.defer(key, envelope) {
            Ok(()) => {
                // While the exchange is locked, so that the courier does not end before it has seen this one.
                lock(&handle.unanswered).push_back((sequence, pending));
                handle.wake.notify_one();
            }
            // The instance has left, so the message goes to another one of its role.
            Err(envelope) => {
                let mut effects = Vec::new();
                exchange.put_back(Instant::now(), key, envelope, &mut effects);
                drop(exchange);
                self.perform(effects);
            }
        }
    }

    /// Takes the answer to a delivery that was left to the courier.
    pub(super) fn answered(&self, key: InstanceKey, sequence: u64, delivery: Delivery) {
        let mut effects = Vec::new();
        if self.exchange().complete_deferred(Instant::now(), (key, sequence), delivery.into(), &mut effects) {
            self.metrics.delivered.inc();
        }
        self.perform(effects);
        self.settled.notify_waiters();
    }

    fn delivered(&self, key: InstanceKey, envelope: Envelope, delivery: Delivery) {
        match delivery {
            Delivery::Accepted => drop(self.metrics.delivered.inc()),
            Delivery::Busy { .. } => {
                let mut effects = Vec::new();
                self.exchange().put_back(Instant::now(), key, envelope, &mut effects);
                self.perform(effects);
            }
            Delivery::Unknown => self.report(envelope, &Reason::Unknown),
            Delivery::Refused { detail } => self.report(envelope, &Reason::Refused(detail)),
        }
    }

    /// Keeps, counts and logs what could not be delivered, and tells its sender if that can be told.
    fn report(&self, envelope: Envelope, reason: &Reason) {
        let receiver = Some(envelope.role.clone()).filter(|_| !matches!(reason, Reason::NoReceivers));
        // Of these there was a note.
        let told = matches!(reason, Reason::Unauthorized | Reason::NoReceivers);
        let reason = reason.to_string();
        self.metrics.undelivered.inc();
        tracing::warn!(
            message_id = envelope.message.id.as_str(),
            name = envelope.public.as_str(),
            receiver = envelope.role.as_str(),
            reason,
            "message not delivered",
        );
        let row = Undelivered {
            id: envelope.message.id.clone(),
            name: envelope.public.clone(),
            sender: envelope.message.sender.clone(),
            receiver,
            reason,
            at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            activity_id: envelope.message.conversation(),
        };
        if !told {
            self.log(|journal| journal.given_up(&row));
        }
        if let Some(origin) = &envelope.origin {
            let mut effects = Vec::new();
            self.exchange().notify(Instant::now(), origin, notice(&envelope, &row), &mut effects);
            self.perform(effects);
        }
        let (at, payload_bytes) = (Instant::now(), envelope.bytes());
        let Message { name: called, response_to, .. } = envelope.message;
        self.traffic.give_up(FailedDelivery { at, row, receiver_name: called, response_to, payload_bytes });
        self.settled.notify_waiters();
    }
}

pub(super) async fn sweep(shell: Arc<Shell>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shell.stop.cancelled() => return,
        }
        let mut effects = Vec::new();
        let ended = shell.exchange().sweep(Instant::now(), &mut effects);
        for (role, instance) in ended {
            tracing::warn!(%role, ?instance, "service dropped: its lease ended");
        }
        shell.perform(effects);
    }
}

/// The message that tells a sender.
fn notice(envelope: &Envelope, row: &Undelivered) -> Message {
    let payload = serde_json::json!({ "name": row.name, "receiver": row.receiver, "reason": row.reason });
    let name = MessageName::parse(UNDELIVERED).expect("a constant that is a name");
    Message {
        payload: Payload::of(&payload).ok(),
        sender: Role::parse(BROKER).ok(),
        activity_id: envelope.message.activity_id.clone(),
        response_to: Some(envelope.message.id.clone()),
        ..Message::new(MessageId::from_uuid(uuid::Uuid::now_v7()), name)
    }
}
