//! The broker's handle.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::config::Config;
use super::courier::CourierPool;
use super::engine::Engine;
use super::error::Error;
use super::follower::{EventId, Payloads};
use super::following::Following;
use super::handle::InstanceHandle;
use super::journal::{Journal, Sink};
use super::message_log::MessageLog;
use super::metrics::Gauges;
use super::role_metrics::Roles;
use super::rules::{Endpoint, Filter, Load, Proof};
use super::traffic::Refusal;
use super::wire::{AbsentRow, Activity, Address, InstanceRow, Landscape, Lease, Listing, Undelivered};
use crate::http::{Client, ClientLimits};
use crate::message::{ActivityId, Inbox, InstanceId, Message, MessageName, Registration, Role, Verdict};
use crate::metrics::openmetrics;

/// Timeout for opening a connection to a receiver.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Length at which a receiver's answer is refused.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The broker. Cheap to clone; its tasks end with the last clone.
#[derive(Clone)]
pub struct Broker {
    engine: Arc<Engine>,
    couriers: Arc<CourierPool>,
    /// Stops the tasks, which own the engine, when the last clone is dropped.
    _stop: Arc<DropGuard>,
}

impl Broker {
    /// Starts a broker without a listener, see [`super::routes::router`]. Logs messages to stdout if the configuration
    /// says so.
    ///
    /// Panics outside of a tokio runtime.
    pub fn start(config: Config) -> Self {
        Self::start_with(config, Sink::Stdout)
    }

    /// As [`Broker::start`], with another destination for the message log.
    pub fn start_with_log(config: Config, sink: Box<dyn Write + Send>) -> Self {
        Self::start_with(config, Sink::Other(sink))
    }

    fn start_with(config: Config, sink: Sink) -> Self {
        let timeout = config.delivery_timeout();
        let limits =
            ClientLimits { connect_timeout: CONNECT_TIMEOUT.min(timeout), timeout, answer_bytes_max: ANSWER_BYTES_MAX };
        let log = MessageLog::new(config.log_messages.then(|| Journal::start(config.log_payloads, sink)));
        let stop = CancellationToken::new();
        let engine = Arc::new(Engine::new(config, Uuid::new_v4().as_u128(), log, stop.clone()));
        let couriers = CourierPool::new(Arc::clone(&engine), Client::guarded(limits, engine.guard().clone()));
        couriers.spawn(Arc::clone(&engine).keep_time());
        Self { engine, couriers: Arc::new(couriers), _stop: Arc::new(stop.drop_guard()) }
    }

    /// Routes one message; `origin` is the instance that sent it, if known. Never blocks on a receiver: those in this
    /// process are called, for the others the message is queued.
    ///
    /// `Busy` means that no receiver has it, so sending it again causes no duplicate.
    pub fn publish(&self, origin: Option<&InstanceId>, message: Message) -> Verdict {
        self.publish_with(origin, Proof::Connection(None), message)
    }

    /// As [`Broker::publish`], for a sender that has proved this much about itself.
    pub(crate) fn publish_with(&self, origin: Option<&InstanceId>, proof: Proof<'_>, message: Message) -> Verdict {
        tracing::debug!(
            message_id = message.id.as_str(),
            activity_id = message.activity_id.as_ref().map(|id| id.as_str()),
            name = message.name.as_str(),
            "message",
        );
        self.engine.publish(origin, proof, message)
    }

    /// Registers a service in this process, until [`Broker::leave`]. Deliveries call `inbox`.
    /// Errors: [`Error::Full`], [`Error::InstanceTaken`], [`Error::Draining`].
    pub fn join_local(&self, registration: Registration, inbox: Arc<dyn Inbox>) -> Result<Lease, Error> {
        self.register_with(registration, Endpoint::Local, InstanceHandle::local(inbox))
    }

    /// Registers a service that listens on `address`, or renews its lease and updates its registration.
    /// Errors: [`Error::Token`], [`Error::Address`], [`Error::Full`], [`Error::InstanceTaken`], [`Error::Draining`].
    pub fn register(&self, registration: Registration, address: impl Into<Address>) -> Result<Lease, Error> {
        let address = address.into();
        self.check_address(&address)?;
        self.register_with(registration, Endpoint::Remote(address), InstanceHandle::remote())
    }

    /// Checks that services may listen there; the addresses of a host's name are checked when it is called.
    fn check_address(&self, address: &Address) -> Result<(), Error> {
        let checked = self.engine.guard().check_address(address.host(), address.port());
        checked.map_err(|rejected| Error::Address { cause: rejected.to_string() })
    }

    fn register_with(
        &self,
        registration: Registration,
        endpoint: Endpoint,
        handle: InstanceHandle,
    ) -> Result<Lease, Error> {
        if let Some(key) = self.engine.register(registration, endpoint, handle.clone())? {
            self.couriers.start(key, handle);
        }
        let config = self.config();
        Ok(Lease { duration: config.lease(), batch_messages_max: config.batch_messages_max })
    }

    /// Returns true if an instance of this id is registered.
    pub fn knows(&self, instance: &InstanceId) -> bool {
        self.engine.exchange().registry().key_of(instance).is_some()
    }

    /// Removes an instance; its queue goes to another instance of its role, or waits for one. Returns true if it was
    /// registered.
    pub fn leave(&self, role: &Role, instance: &InstanceId) -> bool {
        self.engine.leave(role, instance)
    }

    /// Replaces the posted landscape; services that registered themselves stay.
    /// Errors: [`Error::Address`], [`Error::Full`], [`Error::Draining`]; then nothing has changed.
    pub fn configure(&self, landscape: Landscape) -> Result<(), Error> {
        for routes in &landscape.roles {
            routes.address.as_ref().map_or(Ok(()), |address| self.check_address(address))?;
        }
        if self.engine.tokens().leaves_open(&landscape) {
            tracing::warn!(
                "the landscape has a security service, and its role has no token: everybody may decide which messages \
                 pass; add one to broker.tokens"
            );
        }
        for (key, handle) in self.engine.configure(&landscape)? {
            self.couriers.start(key, handle);
        }
        Ok(())
    }

    /// Returns the answer to `/config.json`, in the form in which the landscape was written.
    pub fn listing(&self) -> Listing {
        self.engine.exchange().registry().listing()
    }

    /// Returns every registered instance.
    pub fn instances(&self) -> Vec<InstanceRow> {
        self.engine.exchange().instances(Instant::now())
    }

    /// Returns the roles without an instance that the landscape declares, or for which messages wait.
    pub fn absent(&self) -> Vec<AbsentRow> {
        self.engine.exchange().absent(Instant::now())
    }

    /// Returns the public name of the message that `sender`, or the role of `origin`, calls `name`.
    pub fn public_name(&self, origin: Option<&InstanceId>, sender: Option<&Role>, name: &MessageName) -> MessageName {
        self.engine.exchange().registry().public_name(origin, sender, name)
    }

    /// Returns false if no service receives messages that the instance `origin` calls `name`, present or absent: only a reply
    /// of that name can be delivered.
    pub(crate) fn may_receive(&self, origin: &InstanceId, name: &MessageName) -> bool {
        self.engine.exchange().may_receive(Instant::now(), origin, name)
    }

    /// Returns the last messages that were given up, oldest first.
    pub fn undelivered(&self) -> Vec<Undelivered> {
        self.engine.traffic().undelivered()
    }

    /// Returns the records of an activity, see [`Config::traffic_messages_max`]; `None` if there are none.
    pub fn activity(&self, id: &ActivityId) -> Option<Activity> {
        if self.config().traffic_messages_max == 0 {
            return None;
        }
        self.engine.traffic().activity(id)
    }

    /// Follows the traffic from now on.
    pub(super) fn follow(
        &self,
        filter: Filter,
        payloads: Payloads,
        last: Option<EventId>,
    ) -> Result<Following, Refusal> {
        Following::start(&self.engine, filter, payloads, last)
    }

    /// Returns what waits for its receivers, and for how long the oldest message has done so.
    pub(crate) fn waiting(&self) -> (Load, Duration) {
        let exchange = self.engine.exchange();
        (exchange.load(), exchange.longest_wait(Instant::now()).unwrap_or_default())
    }

    /// Returns the metrics in the OpenMetrics text format.
    pub fn metrics(&self) -> String {
        let mut registry = Registry::default();
        self.register_metrics(&mut registry);
        self.refresh_metrics();
        openmetrics(&registry)
    }

    /// Registers the metrics under the prefix `exorelay_broker`.
    pub fn register_metrics(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("exorelay_broker");
        self.engine.metrics().register(registry);
        registry.register_collector(Box::new(Roles(Arc::clone(&self.engine))));
    }

    /// Updates the gauges that are computed on request.
    pub fn refresh_metrics(&self) {
        let (load, oldest) = self.waiting();
        let (instances, open_requests) = {
            let exchange = self.engine.exchange();
            (exchange.registry().len(), exchange.open_requests())
        };
        self.engine.metrics().set(&Gauges { load, oldest, instances, open_requests });
    }

    /// Returns true once [`Broker::close`] has begun.
    pub fn is_draining(&self) -> bool {
        self.engine.exchange().is_draining()
    }

    /// Returns the settings it was started with.
    pub fn config(&self) -> &Config {
        self.engine.config()
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Runs a task that ends when the broker stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.couriers.spawn(task);
    }

    /// Refuses messages and new services from now on, and delivers what is queued within `grace`. Returns the number of
    /// messages left over, each of which is reported. All tasks of the broker have ended then.
    ///
    /// Cancel-safe: once polled, a dropped call goes on in the background.
    pub async fn close(&self, grace: Duration) -> usize {
        let broker = self.clone();
        let closing = tokio::spawn(async move {
            broker.drain(grace).await;
            broker.stop().await
        });
        match closing.await {
            Ok(left) => left,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime shuts down, and every task of the broker with it.
            Err(_) => 0,
        }
    }

    /// Refuses messages and new services from now on, and waits until what is queued is delivered, for `grace` at most.
    /// [`Broker::stop`] ends the broker. Close the port in between: a service whose connection ends comes back at once.
    /// Cancel-safe: after a dropped call the broker goes on to deliver and to refuse.
    pub async fn drain(&self, grace: Duration) {
        if tokio::time::timeout(grace, self.engine.drain()).await.is_err() {
            tracing::warn!("shutting down with undelivered messages");
        }
    }

    /// Returns the number of messages that wait for their receivers, and of those given up since [`Broker::drain`].
    pub(crate) fn unfinished(&self) -> usize {
        self.engine.unfinished()
    }

    /// Ends every connection and every task. Returns the number of messages given up since [`Broker::drain`], each of which is
    /// reported. After a dropped call everything ends all the same, but those that waited are not reported: call it again.
    pub async fn stop(&self) -> usize {
        self.engine.stop().cancel();
        self.couriers.join().await;
        self.engine.close().await
    }
}
