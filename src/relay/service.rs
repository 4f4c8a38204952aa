//! The relay's handle: joins its parts, and starts and closes them in order.

mod closing;
mod context;
mod inbox;
mod letters;
mod on_reply;
mod operations;
mod request;
mod send;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

pub(crate) use closing::CloseOnDrop;
pub use context::{Context, Handler, HandlerError, handler};
pub use on_reply::Replied;
pub use request::Requesting;
pub use send::{Accepting, Sending};

use super::dead_letters::DeadLetters;
use super::events::EventSender;
use super::incoming::{Accepted, Failure, HandlerTable, Incoming, Outcome, Refused, Subscription, Watching};
use super::outgoing::{self, Draft, Log, Outgoing, Sent};
use super::presence::Presence;
use super::{Cause, Config, Error, Events, Identity, Metrics};
use crate::bus;
use crate::http::Serving;
use crate::message::{ActivityId, Message, MessageId, MessageName, Properties, Role};
use crate::sync::lock;

/// Handlers that a relay starts with.
pub(crate) type Handlers = HandlerTable<Handler>;

/// Handler of messages that have none of their own.
pub(crate) type Fallback = super::incoming::Fallback<Handler>;

/// Connection of a service to the bus. Cheap to clone; all clones are the same relay. It runs until [`Relay::close`].
#[derive(Clone)]
pub struct Relay(Arc<Parts>);

struct Parts {
    identity: Arc<Identity>,
    config: Config,
    presence: Arc<Presence>,
    outgoing: Arc<Outgoing>,
    incoming: Incoming<Handler>,
    dead_letters: Arc<DeadLetters>,
    events: EventSender,
    metrics: Metrics,
    tasks: TaskTracker,
    listeners: Mutex<Vec<Serving>>,
    /// True while the service behind this relay does not answer.
    away: AtomicBool,
}

impl Relay {
    /// Starts a relay, which tries to join the bus until it is closed. Needs a tokio runtime.
    ///
    /// Messages may arrive as soon as the relay has joined, so `handlers` are given here.
    pub(crate) fn start(identity: Identity, config: Config, metrics: Metrics, handlers: Handlers) -> Self {
        Self::start_with_log(identity, config, metrics, handlers, None)
    }

    /// Like [`Relay::start`]. With a log, messages are accepted once it has stored them.
    pub(super) fn start_with_log(
        identity: Identity,
        config: Config,
        metrics: Metrics,
        handlers: Handlers,
        log: Option<Arc<dyn Log>>,
    ) -> Self {
        let (identity, events) = (Arc::new(identity), EventSender::new());
        let presence = Presence::new(Arc::clone(&identity), events.clone(), config.retry_wait_max());
        let presence = Arc::new(presence);
        let dead_letters = Arc::new(DeadLetters::new(&config, metrics.clone()));
        let (outgoing, unconfirmed) = Outgoing::new(
            (Arc::clone(&identity), Arc::clone(&presence)),
            &config,
            log,
            Arc::clone(&dead_letters),
            events.clone(),
            metrics.clone(),
        );
        let outgoing = Arc::new(outgoing);
        let incoming = Incoming::new(
            &config,
            handlers,
            Arc::clone(&outgoing),
            Arc::clone(&dead_letters),
            events.clone(),
            metrics.clone(),
        );
        let (tasks, listeners) = (TaskTracker::new(), Mutex::default());
        if let Some(unconfirmed) = unconfirmed {
            tasks.spawn(Arc::clone(&outgoing).confirm_all(unconfirmed));
        }
        let (sender, online) = (Arc::clone(&outgoing), Arc::clone(&presence));
        tasks.spawn(outgoing::publish_all(sender, online, config.clone()));
        tasks.spawn(Arc::clone(incoming.subscribers()).expire_leases());
        let away = AtomicBool::new(false);
        let parts = Parts {
            identity,
            config,
            presence,
            outgoing,
            incoming,
            dead_letters,
            events,
            metrics,
            tasks,
            listeners,
            away,
        };
        let relay = Self(Arc::new(parts));
        let member = relay.clone();
        relay.spawn(async move { member.0.presence.maintain(|| member.membership()).await });
        relay
    }

    /// The role of the service on the bus.
    pub fn role(&self) -> &Role {
        &self.0.identity.role
    }

    /// The address of its bus-facing listener; `None` if it has none, or is closed.
    pub fn address(&self) -> Option<SocketAddr> {
        lock(&self.0.listeners).first().map(Serving::address)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    /// Sends `name` with any serialisable payload; `()` and `null` mean none. Await the result, which is the id of the
    /// message once it is accepted: it is in the outbox, and will be sent as soon as the bus is there. Messages of one name
    /// are sent in this order; messages of other names overtake those whose receiver is busy, and replies overtake others.
    ///
    /// Errors: [`Error::Name`], [`Error::Payload`], [`Error::Busy`], [`Error::Closed`]; with a bus in this process also
    /// [`Error::NoReceivers`] at once. Otherwise a message that no service receives becomes a dead letter and an event.
    ///
    /// Not cancel-safe: dropping the future after it was polled does not recall the message.
    pub fn send<N>(&self, name: N, payload: impl Serialize) -> Sending
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        Sending::new(self.clone(), Draft::of(name, &payload))
    }

    /// Sends `name` and waits for the reply to it. Await the result, or take its [`Requesting::replies`].
    ///
    /// Errors: those of [`Relay::send`], and [`Error::NoReply`] after the timeout, [`Error::NoReceivers`] if no service
    /// receives such messages, [`Error::Undeliverable`] if the service that does cannot be reached, [`Error::Failed`] if it
    /// could not handle the request, [`Error::Bus`] while the bus cannot be reached.
    /// Dropping the future ends the request; its message may have been sent.
    pub fn request<N>(&self, name: N, payload: impl Serialize) -> Requesting
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        Requesting::new(self.clone(), Draft::of(name, &payload))
    }

    /// Waits, from now on and for at most `timeout`, for the first message of `activity` that this relay receives. The
    /// watch starts with the call, not when it is awaited: start it before the message can arrive. The message also goes
    /// to its handler or requester; one without either counts as accepted. exo 4.3.
    ///
    /// Errors: [`Error::NothingInActivity`] after the timeout, [`Error::Busy`] if `waiters_max` watches run,
    /// [`Error::Name`] if `activity` is not a valid id.
    ///
    /// ```no_run
    /// # async fn example(relay: exorelay::Relay) -> Result<(), exorelay::Error> {
    /// let answer = relay.wait_for_activity("signup-7", std::time::Duration::from_secs(1));
    /// relay.send("search", "x").activity("signup-7").await?;
    /// println!("{}", answer.await?.name);
    /// # Ok(()) }
    /// ```
    pub fn wait_for_activity<A>(&self, activity: A, timeout: Duration) -> Watching
    where
        A: TryInto<ActivityId>,
        Error: From<A::Error>,
    {
        match activity.try_into() {
            Ok(activity) => self.0.incoming.watchers().watch(activity, timeout),
            Err(error) => Watching::failed(error.into()),
        }
    }

    /// Runs `run` for every message called `name`, many at once. If it fails or panics, the message becomes a dead
    /// letter; nothing else is affected.
    ///
    /// The broker is notified in the background; [`Relay::ready`] waits for that.
    /// Errors: [`Error::HandlerExists`], [`Error::Name`].
    pub fn on<N, F, Fut>(&self, name: N, run: F) -> Result<(), Error>
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
        F: Fn(Message, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.on_many([(name, handler(run))])
    }

    /// Registers handlers made by [`crate::handler`], all or none. Errors: those of [`Relay::on`].
    pub fn on_many<N>(&self, table: impl IntoIterator<Item = (N, Handler)>) -> Result<(), Error>
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        let named = |(name, handler): (N, Handler)| Ok((name.try_into()?, handler));
        let table: Vec<(MessageName, Handler)> = table.into_iter().map(named).collect::<Result<_, Error>>()?;
        self.0.incoming.add_handlers(table)?;
        self.0.presence.renew(&self.membership());
        Ok(())
    }

    /// Returns true if messages called `name` have a handler.
    pub fn has_handler(&self, name: &str) -> bool {
        self.0.incoming.has_handler(name)
    }

    /// Subscribes to the events of this relay from now on, preceded by [`super::Event::Online`] if it is online.
    pub fn events(&self) -> Events {
        self.0.presence.subscribe()
    }

    /// The number of requests that wait for replies.
    pub fn waiting(&self) -> usize {
        self.0.outgoing.waiting_requests()
    }

    /// Waits until the relay is on the bus, and the bus knows every handler registered so far. Cancel-safe.
    pub async fn ready(&self) {
        self.0.presence.ready().await;
    }

    /// Waits until the first attempt to join has succeeded or failed.
    pub(crate) async fn first_attempt(&self) {
        self.0.presence.first_attempt().await;
    }

    /// Checks that a draft can have a receiver, before its payload is known. Errors: [`Error::NoReceivers`].
    pub(crate) fn check_receivers(&self, draft: &Draft) -> Result<(), Error> {
        // A reply goes to the instance that asked.
        let is_reply = draft.response_to.is_some() || draft.activity_id.is_some() || draft.is_security;
        match is_reply || self.0.identity.bus.may_receive(&draft.name) {
            true => Ok(()),
            false => Err(Error::NoReceivers(draft.name.clone())),
        }
    }

    /// Sends a draft: see [`Outgoing::send`]. If it answers a message, it has come one hop further.
    pub(crate) async fn send_draft(&self, mut draft: Draft) -> Result<Sent, Error> {
        self.complete_answer(draft.response_to.as_ref(), &mut draft.properties);
        self.0.outgoing.send(draft).await
    }

    /// Makes a request: see [`Outgoing::request`].
    pub(crate) async fn request_draft(&self, draft: Draft, timeout: Duration) -> Result<Message, Error> {
        self.0.outgoing.request(draft, timeout).await
    }

    /// Sends a message that its service has composed: see [`Outgoing::forward`].
    pub(crate) async fn forward(&self, mut message: Message) -> Result<(), Error> {
        message.properties = Properties::default();
        self.complete_answer(message.response_to.as_ref(), &mut message.properties);
        self.0.outgoing.forward(message).await
    }

    fn complete_answer(&self, answered: Option<&MessageId>, properties: &mut Properties) {
        if let Some(id) = answered {
            self.0.incoming.complete_answer(id, properties);
        }
    }

    /// Accepts a message from the bus and waits for its handler, as the HTTP-era implementations do.
    pub(crate) async fn receive_handled(&self, message: Message) -> Result<Outcome, Refused> {
        let (done, finished) = oneshot::channel();
        match self.0.incoming.accept(message, Some(done))? {
            Accepted::Done => return Ok(Ok(())),
            accepted @ (Accepted::Queued | Accepted::Run(_)) => self.run(accepted),
        }
        Ok(finished.await.unwrap_or_else(|_| Err(Failure::new(Cause::RelayClosed, "the relay was closed"))))
    }

    fn run(&self, accepted: Accepted<Handler>) {
        let Accepted::Run(job) = accepted else { return };
        let relay = self.clone();
        self.spawn(async move {
            let call = |handler: &Handler, message: Message| {
                let context = Context::new(relay.clone(), message.clone());
                handler(message, context)
            };
            relay.0.incoming.run(job, call).await;
        });
    }

    /// Subscribes to messages of these names; to all, if there are none. Subscribers share the messages: each has at most
    /// `unacknowledged_max` that it has not acknowledged, by default and at most the configured number.
    pub(crate) fn subscribe(&self, names: Vec<MessageName>, unacknowledged_max: Option<usize>) -> Subscription {
        self.0.incoming.subscribers().subscribe(names, unacknowledged_max)
    }

    /// Acknowledges a message of a subscriber, also after its lease: one from this sender, if there is one given. Returns
    /// false if none was handed out, or it was acknowledged before.
    pub(crate) fn acknowledge(&self, id: &MessageId, sender: Option<&Role>) -> bool {
        self.0.incoming.subscribers().acknowledge(id, sender)
    }

    /// Takes a message back that its subscriber cannot handle, to deliver it again after the time of a lease. Returns false if
    /// no subscriber has such a message.
    pub(crate) fn give_back(&self, id: &MessageId, sender: Option<&Role>) -> bool {
        self.0.incoming.subscribers().give_back(id, sender)
    }

    /// Gives a message back to the bus, for another instance of this role whose service answers. Returns false if there is
    /// none: it stays here.
    pub(crate) async fn return_message(&self, message: &Message) -> bool {
        self.0.incoming.give_back(message).await
    }

    /// Reports to the bus that the service behind this relay does not answer, or does again. While it does not, the bus gives
    /// this relay nothing as long as another instance of the role answers.
    pub(crate) fn set_away(&self, is_away: bool) {
        if self.0.away.swap(is_away, Ordering::Relaxed) != is_away {
            self.0.presence.renew(&self.membership());
        }
    }

    /// Runs a task until this relay has left the bus.
    pub(crate) fn run_until_left(&self, task: impl Future<Output = ()> + Send + 'static) {
        let presence = Arc::clone(&self.0.presence);
        self.spawn(async move {
            tokio::select! {
                () = task => {}
                () = presence.left() => {}
            }
        });
    }

    /// Sends an [`super::Event::Error`].
    pub(crate) fn emit_error(&self, error: Error) {
        self.0.events.error(error);
    }

    /// Hands over a listener, which serves until this relay is closed.
    pub(crate) fn add_listener(&self, listener: Serving) {
        lock(&self.0.listeners).push(listener);
    }

    /// Number of messages and requests in progress.
    fn pending(&self) -> usize {
        self.0.incoming.pending() + self.0.outgoing.queued() + self.waiting()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(task);
    }

    /// The registration as it is now, for the bus.
    fn membership(&self) -> bus::Membership {
        let identity = &self.0.identity;
        let mut registration = identity.registration(&self.0.config, self.0.incoming.handled_names());
        registration.away = self.0.away.load(Ordering::Relaxed);
        bus::Membership { registration, endpoint: identity.endpoint.clone(), inbox: Arc::new(self.clone()) }
    }
}
