//! The broker's handle: runs the rules, performs their effects.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::config::Config;
use super::error::Error;
use super::journal::{Journal, Sink, Style};
use super::metrics::Metrics;
use super::rules::{Effect, Endpoint, Exchange, Filter, Note};
use super::shell::{Handle, Shell, sweep};
use super::traffic::{Following, Payloads, Refusal, Traffic};
use super::wire::{Activity, Address, InstanceRow, Landscape, Lease, Listing, Undelivered};
use crate::http::{Client, ClientLimits};
use crate::message::{ActivityId, Inbox, InstanceId, Message, MessageName, Registration, Role, Verdict};
use crate::sync::lock;

/// How long opening a connection to a receiver may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest answer to a delivery that is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The broker. Cheap to clone; its tasks end with the last clone.
#[derive(Clone)]
pub struct Broker {
    shell: Arc<Shell>,
    _tasks_end: Arc<DropGuard>,
}

impl Broker {
    /// Starts a broker that listens nowhere yet, see [`super::routes::router`]. Logs messages to stdout if asked to.
    ///
    /// Panics outside of a tokio runtime.
    pub fn start(config: Config) -> Self {
        Self::start_with(config, Sink::Stdout)
    }

    /// As [`Broker::start`], with another place for the message log.
    pub fn start_with_log(config: Config, sink: Box<dyn Write + Send>) -> Self {
        Self::start_with(config, Sink::Other(sink))
    }

    fn start_with(config: Config, sink: Sink) -> Self {
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
            exchange: Mutex::new(Exchange::new(config.clone(), Uuid::new_v4().as_u128())),
            traffic: Traffic::new(config.traffic_messages_max, config.undelivered_max),
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
        self.publish_with(origin, None, message)
    }

    /// As [`Broker::publish`], by somebody who showed `token`.
    pub(crate) fn publish_with(&self, origin: Option<&InstanceId>, token: Option<&str>, message: Message) -> Verdict {
        tracing::debug!(
            message_id = message.id.as_str(),
            activity_id = message.activity_id.as_ref().map(|id| id.as_str()),
            name = message.name.as_str(),
            "message",
        );
        let mut effects = Vec::new();
        let verdict = {
            let mut exchange = self.shell.exchange();
            match message.sender.as_ref().filter(|sender| !exchange.registry().may_speak_for(sender, origin, token)) {
                Some(sender) => {
                    let role = sender.clone();
                    let (sender, name) = (Some(role.clone()), message.name.clone());
                    effects.push(Effect::Note(Note::Forbidden { sender, name }));
                    let detail = Error::Token { role }.to_string();
                    exchange.forbid(Instant::now(), origin, &message, detail, &mut effects)
                }
                None => exchange.publish(Instant::now(), origin, message, &mut effects),
            }
        };
        match &verdict {
            Verdict::Accepted => self.shell.metrics.accepted.inc(),
            Verdict::NoReceivers => self.shell.metrics.unrouted.inc(),
            Verdict::Busy { .. } | Verdict::Forbidden { .. } | Verdict::Refused { .. } => {
                self.shell.metrics.refused.inc()
            }
        };
        self.shell.perform(effects);
        verdict
    }

    /// Registers a service of this process; it stays until [`Broker::leave`]. Deliveries call `inbox`.
    /// Errors: [`Error::Full`], [`Error::InstanceTaken`], [`Error::Draining`].
    pub fn join_local(&self, registration: Registration, inbox: Arc<dyn Inbox>) -> Result<Lease, Error> {
        self.shell.register(registration, Endpoint::Local, Some(inbox))
    }

    /// Registers a service that is reached at `address`, or renews its lease and updates what is known of it.
    /// Errors: [`Error::Full`], [`Error::InstanceTaken`], [`Error::Draining`].
    pub fn register(&self, registration: Registration, address: impl Into<Address>) -> Result<Lease, Error> {
        self.shell.register(registration, Endpoint::Remote(address.into()), None)
    }

    /// Whether an instance of this id is on the roster.
    pub fn knows(&self, instance: &InstanceId) -> bool {
        self.shell.exchange().registry().key_of(instance).is_some()
    }

    /// Takes an instance off the roster; what waits for it goes to another one of its role, or waits for one.
    /// Answers whether it was there.
    pub fn leave(&self, role: &Role, instance: &InstanceId) -> bool {
        let mut effects = Vec::new();
        let left = self.shell.exchange().leave(Instant::now(), role, instance, &mut effects);
        self.shell.perform(effects);
        if left {
            self.shell.note(&Note::Disconnected { role: role.clone(), instance: instance.clone() });
        }
        left
    }

    /// Replaces the posted landscape; services that registered themselves stay.
    /// Errors: [`Error::Full`], [`Error::Draining`]; then nothing has changed.
    pub fn configure(&self, landscape: Landscape) -> Result<(), Error> {
        let (style, mut effects) = (Style::from(landscape.form), Vec::new());
        let added = self.shell.exchange().configure(Instant::now(), &landscape, Handle::remote, &mut effects)?;
        lock(&self.shell.journal).iter_mut().for_each(|journal| journal.speak(style));
        for (key, handle) in added {
            self.shell.spawn_courier(key, handle);
        }
        self.shell.perform(effects);
        self.shell.log_configuration();
        Ok(())
    }

    pub(crate) fn shell(&self) -> &Arc<Shell> {
        &self.shell
    }

    /// What `/config.json` shows, in the form in which the landscape was written.
    pub fn listing(&self) -> Listing {
        self.shell.exchange().registry().listing()
    }

    /// Every instance on the roster.
    pub fn instances(&self) -> Vec<InstanceRow> {
        self.shell.exchange().instances(Instant::now())
    }

    /// What everybody else calls the message that `sender`, or the role of `origin`, calls `name`.
    pub fn public_name(&self, origin: Option<&InstanceId>, sender: Option<&Role>, name: &MessageName) -> MessageName {
        self.shell.exchange().registry().public_name(origin, sender, name)
    }

    /// The messages that were given up, the oldest first.
    pub fn undelivered(&self) -> Vec<Undelivered> {
        self.shell.traffic.undelivered()
    }

    /// What is on record of an activity, see [`Config::traffic_messages_max`]; `None` if nothing is.
    pub fn activity(&self, id: &ActivityId) -> Option<Activity> {
        if self.shell.config.traffic_messages_max == 0 {
            return None;
        }
        self.shell.traffic.activity(id)
    }

    /// Follows what goes through from now on.
    pub(super) fn follow(&self, filter: Filter, payloads: Payloads) -> Result<Following, Refusal> {
        Following::start(&self.shell, filter, payloads)
    }

    /// The numbers in Prometheus' text form.
    pub fn metrics(&self) -> String {
        let (load, instances) = {
            let exchange = self.shell.exchange();
            (exchange.load(), exchange.registry().len())
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
        self.shell.traffic.close();
        left
    }
}
