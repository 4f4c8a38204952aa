//! The broker's handle: runs the rules, performs their effects.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::config::Config;
use super::courier;
use super::error::Error;
use super::journal::{Journal, Sink};
use super::metrics::Metrics;
use super::rules::{Attempt, Effect, Exchange, Key, Parcel, Place, Reason, Work};
use super::wire::{
    Address, Configuration, Delivery, InstanceRow, Landscape, Lease, Registration, Undelivered, Verdict,
};
use crate::http::{Client, ClientLimits};
use crate::message::{InstanceId, Message, MessageId, MessageName, Payload, Role};

/// How often leases, windows and conversations are looked at.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// How long opening a connection to a receiver may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest answer to a delivery that is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The name of the message that tells a sender what could not be delivered, and of its sender.
const UNDELIVERED: &str = "exocom.undelivered";
const BROKER: &str = "exocom";

/// A service of this process, as the broker sees it.
pub trait Inbox: Send + Sync {
    /// Takes a message, or says why not. Must not block; may be called from several threads at once.
    fn deliver(&self, message: Message) -> Delivery;
}

/// The broker. Cheap to clone; its tasks end with the last clone.
#[derive(Clone)]
pub struct Broker {
    shell: Arc<Shell>,
    _tasks_end: Arc<DropGuard>,
}

/// What the rules give back for an instance.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) inbox: Option<Arc<dyn Inbox>>,
    pub(crate) wake: Arc<Notify>,
}

/// State and means, shared by the handles and the couriers.
pub(crate) struct Shell {
    pub(crate) config: Config,
    pub(crate) client: Client,
    pub(crate) metrics: Metrics,
    pub(crate) stop: CancellationToken,
    exchange: Mutex<Exchange<Handle>>,
    undelivered: Mutex<VecDeque<Undelivered>>,
    journal: Mutex<Option<Journal>>,
    settled: Notify,
    tasks: TaskTracker,
    runtime: runtime::Handle,
}

impl Broker {
    /// Starts a broker that listens nowhere yet, see [`super::routes::router`]. Logs messages to stdout if asked to.
    ///
    /// Panics outside of a tokio runtime.
    pub fn start(config: Config) -> Self {
        Self::start_with_log(config, Box::new(std::io::stdout()))
    }

    /// As [`Broker::start`], with another place for the message log.
    pub fn start_with_log(config: Config, sink: Sink) -> Self {
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let timeout = config.delivery_timeout();
        let limits =
            ClientLimits { connect_timeout: CONNECT_TIMEOUT.min(timeout), timeout, answer_bytes_max: ANSWER_BYTES_MAX };
        let journal = config.log_messages.then(|| Journal::start(config.log_payloads, sink));
        let shell = Arc::new(Shell {
            client: Client::new(limits),
            metrics: Metrics::new(),
            stop: stop.clone(),
            exchange: Mutex::new(Exchange::new(config.clone())),
            undelivered: Mutex::new(VecDeque::new()),
            journal: Mutex::new(journal),
            settled: Notify::new(),
            tasks,
            runtime: runtime::Handle::current(),
            config,
        });
        shell.tasks.spawn(sweep(Arc::clone(&shell)));
        Self { shell, _tasks_end: Arc::new(stop.drop_guard()) }
    }

    /// Routes one message; `origin` is the instance that sent it, if known. Never blocks on a receiver: those of this
    /// process are called, for the others the message waits.
    ///
    /// `Busy` means that no receiver has it, so it can be sent again without a duplicate.
    pub fn publish(&self, origin: Option<&InstanceId>, message: Message) -> Verdict {
        tracing::debug!(
            message_id = message.id.as_str(),
            activity_id = message.activity_id.as_ref().map(|id| id.as_str()),
            name = message.name.as_str(),
            "message",
        );
        let mut effects = Vec::new();
        let verdict = self.shell.exchange().publish(Instant::now(), origin, message, &mut effects);
        match &verdict {
            Verdict::Accepted => self.shell.metrics.accepted.inc(),
            Verdict::NoReceivers => self.shell.metrics.unrouted.inc(),
            Verdict::Busy { .. } | Verdict::Refused { .. } => self.shell.metrics.refused.inc(),
        };
        self.shell.perform(effects);
        verdict
    }

    /// Registers a service of this process; it stays until [`Broker::leave`]. Deliveries call `inbox`.
    /// Errors: [`Error::Full`], [`Error::InstanceTaken`], [`Error::Draining`].
    pub fn join_local(&self, registration: Registration, inbox: Arc<dyn Inbox>) -> Result<Lease, Error> {
        self.shell.register(registration, Place::Local, Some(inbox))
    }

    /// Registers a service that is reached at `address`, or renews its lease and updates what is known of it.
    /// Errors: [`Error::Full`], [`Error::InstanceTaken`], [`Error::Draining`].
    pub fn register(&self, registration: Registration, address: impl Into<Address>) -> Result<Lease, Error> {
        self.shell.register(registration, Place::Remote(address.into()), None)
    }

    /// Whether an instance of this id is on the roster.
    pub fn knows(&self, instance: &InstanceId) -> bool {
        self.shell.exchange().knows(instance)
    }

    /// Takes an instance off the roster; what waits for it goes to another one of its role, or waits for one.
    /// Answers whether it was there.
    pub fn leave(&self, role: &Role, instance: &InstanceId) -> bool {
        let mut effects = Vec::new();
        let left = self.shell.exchange().leave(Instant::now(), role, instance, &mut effects);
        self.shell.perform(effects);
        if left {
            tracing::info!(%role, %instance, "service left");
        }
        left
    }

    /// Replaces the posted landscape; services that registered themselves stay.
    /// Errors: [`Error::Full`], [`Error::Draining`]; then nothing has changed.
    pub fn configure(&self, landscape: Landscape) -> Result<(), Error> {
        let mut effects = Vec::new();
        let added = self.shell.exchange().configure(Instant::now(), landscape, Handle::remote, &mut effects)?;
        for (key, handle) in added {
            self.shell.spawn_courier(key, handle);
        }
        self.shell.perform(effects);
        self.shell.log_configuration();
        Ok(())
    }

    /// The roles and routes, as the original shows them.
    pub fn configuration(&self) -> Configuration {
        self.shell.exchange().configuration()
    }

    /// Every instance on the roster.
    pub fn instances(&self) -> Vec<InstanceRow> {
        self.shell.exchange().instances(Instant::now())
    }

    /// What everybody else calls the message that `sender`, or the role of `origin`, calls `name`.
    pub fn public_name(&self, origin: Option<&InstanceId>, sender: Option<&Role>, name: &MessageName) -> MessageName {
        self.shell.exchange().public_name(origin, sender, name)
    }

    /// The messages that were given up, the oldest first.
    pub fn undelivered(&self) -> Vec<Undelivered> {
        lock(&self.shell.undelivered).iter().cloned().collect()
    }

    /// The numbers in Prometheus' text form.
    pub fn metrics(&self) -> String {
        let (load, instances) = {
            let exchange = self.shell.exchange();
            (exchange.load(), exchange.instances_count())
        };
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.shell.metrics.queued.set(gauge(load.messages));
        self.shell.metrics.queued_bytes.set(gauge(load.bytes));
        self.shell.metrics.instances.set(gauge(instances));
        self.shell.metrics.text()
    }

    /// Whether [`Broker::close`] has begun.
    pub fn is_draining(&self) -> bool {
        self.shell.exchange().is_draining()
    }

    /// Settings it was started with.
    pub fn config(&self) -> &Config {
        &self.shell.config
    }

    /// Refuses messages from now on, and new services; finishes the queued deliveries within `grace`. Answers how many
    /// were left over; each of them is reported. Then the tasks of the broker have ended.
    pub async fn close(&self, grace: Duration) -> usize {
        self.shell.exchange().drain();
        let empty = async {
            loop {
                let settled = self.shell.settled.notified();
                if self.shell.exchange().load().messages == 0 {
                    return;
                }
                settled.await;
            }
        };
        if tokio::time::timeout(grace, empty).await.is_err() {
            tracing::warn!("shutting down with messages still waiting");
        }
        self.shell.stop.cancel();
        self.shell.tasks.close();
        self.shell.tasks.wait().await;
        let mut effects = Vec::new();
        let left = self.shell.exchange().close(&mut effects);
        self.shell.perform(effects);
        let journal = lock(&self.shell.journal).take();
        if let Some(journal) = journal {
            journal.close().await;
        }
        left
    }
}

impl Handle {
    fn remote() -> Self {
        Self { inbox: None, wake: Arc::new(Notify::new()) }
    }
}

impl Shell {
    pub(crate) fn exchange(&self) -> MutexGuard<'_, Exchange<Handle>> {
        lock(&self.exchange)
    }

    /// What the courier should do next.
    pub(crate) fn take(&self, key: Key) -> Work {
        let mut effects = Vec::new();
        let work = self.exchange().take(Instant::now(), key, &mut effects);
        self.perform(effects);
        work
    }

    /// Tells how a delivery went.
    pub(crate) fn settle(self: &Arc<Self>, key: Key, attempt: Attempt) {
        let mut effects = Vec::new();
        let delivered = self.exchange().settle(Instant::now(), key, attempt, &mut effects);
        self.metrics.delivered.inc_by(delivered as u64);
        self.perform(effects);
        self.settled.notify_waiters();
    }

    fn register(
        self: &Arc<Self>,
        registration: Registration,
        place: Place,
        inbox: Option<Arc<dyn Inbox>>,
    ) -> Result<Lease, Error> {
        let handle = Handle { inbox, ..Handle::remote() };
        let (role, instance) = (registration.role.clone(), registration.instance.clone());
        let mut effects = Vec::new();
        let added = self.exchange().register(Instant::now(), registration, place, handle.clone(), &mut effects)?;
        if let Some(key) = added {
            tracing::info!(%role, %instance, "service registered");
            self.spawn_courier(key, handle);
            self.log_configuration();
        }
        self.perform(effects);
        Ok(Lease { duration: self.config.lease(), batch_messages_max: self.config.batch_messages_max })
    }

    fn spawn_courier(self: &Arc<Self>, key: Key, handle: Handle) {
        self.tasks.spawn_on(courier::run(Arc::clone(self), key, handle), &self.runtime);
    }

    fn log_configuration(&self) {
        if let Some(journal) = &*lock(&self.journal) {
            journal.configured(&self.exchange().configuration());
        }
    }

    fn perform(&self, effects: Vec<Effect<Handle>>) {
        for effect in effects {
            match effect {
                Effect::Deliver { handle, key, parcel } => self.deliver(&handle, key, parcel),
                Effect::Wake { handle } => handle.wake.notify_one(),
                Effect::Undelivered { parcel, reason } => self.report(parcel, &reason),
                Effect::Routed(routed) => lock(&self.journal).iter().for_each(|journal| journal.routed(&routed)),
            }
        }
    }

    /// Gives a message to a service of this process, in the publisher's thread.
    fn deliver(&self, handle: &Handle, key: Key, parcel: Parcel) {
        let Some(inbox) = &handle.inbox else { return };
        match inbox.deliver(parcel.message.clone()) {
            Delivery::Accepted => drop(self.metrics.delivered.inc()),
            Delivery::Busy { .. } => {
                let mut effects = Vec::new();
                self.exchange().put_back(Instant::now(), key, parcel, &mut effects);
                self.perform(effects);
            }
            Delivery::Unknown => self.report(parcel, &Reason::Unknown),
            Delivery::Refused { detail } => self.report(parcel, &Reason::Refused(detail)),
        }
    }

    /// Keeps, counts and logs what could not be delivered, and tells its sender if that can be told.
    fn report(&self, parcel: Parcel, reason: &Reason) {
        let receiver = Some(parcel.role.clone()).filter(|_| !matches!(reason, Reason::NoReceivers));
        let reason = reason.to_string();
        self.metrics.undelivered.inc();
        tracing::warn!(
            message_id = parcel.message.id.as_str(),
            name = parcel.public.as_str(),
            receiver = parcel.role.as_str(),
            reason,
            "message not delivered",
        );
        let row = Undelivered {
            id: parcel.message.id.clone(),
            name: parcel.public.clone(),
            sender: parcel.message.sender.clone(),
            receiver,
            reason,
            at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        };
        if let Some(origin) = &parcel.origin {
            let mut effects = Vec::new();
            self.exchange().tell(Instant::now(), origin, notice(&parcel, &row), &mut effects);
            self.perform(effects);
        }
        let mut ring = lock(&self.undelivered);
        if ring.len() >= self.config.undelivered_max {
            ring.pop_front();
        }
        if self.config.undelivered_max > 0 {
            ring.push_back(row);
        }
        drop(ring);
        self.settled.notify_waiters();
    }
}

async fn sweep(shell: Arc<Shell>) {
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
fn notice(parcel: &Parcel, row: &Undelivered) -> Message {
    let payload = serde_json::json!({ "name": row.name, "receiver": row.receiver, "reason": row.reason });
    let name = MessageName::parse(UNDELIVERED).expect("a constant that is a name");
    Message {
        payload: Payload::of(&payload).ok(),
        sender: Role::parse(BROKER).ok(),
        activity_id: parcel.message.activity_id.clone(),
        response_to: Some(parcel.message.id.clone()),
        ..Message::new(MessageId::from_uuid(uuid::Uuid::now_v7()), name)
    }
}

/// A lock that a panic elsewhere does not close for good: the rules keep their state whole between calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
