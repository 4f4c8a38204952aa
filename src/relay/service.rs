//! The relay's handle, and the state behind it.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::context::{Handler, handler};
use super::events::Announcer;
use super::idempotency::Call;
use super::membership::Presence;
use super::metrics::Metrics;
use super::outbox::{self, Outbox};
use super::receive::Job;
use super::request::Waiter;
use super::rules::{DeadLetters, Direction, Gate, Keys, Seen, Waiters, Watchers};
use super::subscribers::Subscribers;
use super::takers::{Fallback, Takers};
use super::{Config, Context, Draft, Error, Event, Events, HandlerError};
use crate::bus::{Bus, Endpoint};
use crate::http::Serving;
use crate::message::{InstanceId, Message, MessageId, MessageName, Role, Verdict};
use crate::sync::lock;

/// Who a relay is, and how it reaches the bus.
pub(crate) struct Identity {
    pub(crate) role: Role,
    pub(crate) instance: InstanceId,
    pub(crate) bus: Arc<dyn Bus>,
    /// Where the broker delivers; `None` if nothing listens.
    pub(crate) endpoint: Option<Endpoint>,
    /// The port that [`Event::Online`] tells.
    pub(crate) online_port: u16,
    /// Whether the broker may deliver several messages in one call.
    pub(crate) batch: bool,
    /// What proves to the broker that the relay may have its role.
    pub(crate) token: Option<String>,
}

/// A service's place on the bus. Cheap to clone; all clones are the same relay. It lives until [`Relay::close`].
#[derive(Clone)]
pub struct Relay(Arc<Inner>);

struct Inner {
    identity: Identity,
    config: Config,
    handlers: RwLock<HashMap<MessageName, Handler>>,
    fallback: Option<Fallback>,
    waiters: Mutex<Waiters<Waiter>>,
    watchers: Mutex<Watchers<oneshot::Sender<Message>>>,
    seen: Mutex<Seen>,
    gate: Mutex<Gate<Job>>,
    keys: Mutex<Keys<Arc<Call>>>,
    dead_letters: Mutex<DeadLetters>,
    subscribers: Subscribers,
    outbox: Outbox,
    presence: Presence,
    announcer: Announcer,
    metrics: Metrics,
    tasks: TaskTracker,
    outbox_closing: CancellationToken,
    listeners: Mutex<Vec<Serving>>,
}

impl Relay {
    /// Starts a relay: its tasks run, and it tries to join the bus until it is closed. Needs a tokio runtime.
    ///
    /// The takers are given here because messages may come as soon as the relay has joined.
    pub(crate) fn start(identity: Identity, config: Config, metrics: Metrics, takers: Takers) -> Self {
        let (outbox, outgoing) = Outbox::new(config.outbox_messages_max);
        let relay = Self(Arc::new(Inner {
            handlers: RwLock::new(takers.handlers),
            waiters: Mutex::new(Waiters::new(config.waiters_max)),
            watchers: Mutex::new(Watchers::new(config.waiters_max)),
            seen: Mutex::new(Seen::new(config.seen_messages_max, Duration::from_millis(config.seen_window_ms))),
            gate: Mutex::new(Gate::new(config.handlers_concurrent_max, config.inbox_messages_max)),
            keys: Mutex::new(Keys::new(
                config.idempotency_keys_max,
                Duration::from_millis(config.idempotency_window_ms),
            )),
            dead_letters: Mutex::new(DeadLetters::new(config.dead_letters_max)),
            subscribers: Subscribers::new(&config),
            presence: Presence::new(),
            announcer: Announcer::new(),
            tasks: TaskTracker::new(),
            outbox_closing: CancellationToken::new(),
            listeners: Mutex::default(),
            identity,
            config,
            fallback: takers.fallback,
            outbox,
            metrics,
        }));
        relay.spawn(outbox::publish_all(relay.clone(), outgoing));
        relay.spawn(relay.clone().keep_membership());
        relay.spawn(relay.clone().expire_leases());
        relay
    }

    /// Who this relay is on the bus.
    pub fn role(&self) -> &Role {
        &self.0.identity.role
    }

    /// Where its bus-facing listener is, if it has one and is not closed.
    pub fn address(&self) -> Option<SocketAddr> {
        lock(&self.0.listeners).first().map(Serving::address)
    }

    /// Runs `run` for every message called `name`, many at once. A failing or panicking handler costs its message, which
    /// becomes a dead letter, and nothing else.
    ///
    /// The broker is told in the background; [`Relay::ready`] waits for that.
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

    /// Registers a table of handlers, each made by [`crate::handler`]. None is registered if one of them cannot be.
    /// Errors: as [`Relay::on`].
    pub fn on_many<N>(&self, table: impl IntoIterator<Item = (N, Handler)>) -> Result<(), Error>
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        let mut fresh = HashMap::new();
        for (name, handler) in table {
            let name: MessageName = name.try_into()?;
            if self.has_handler(name.as_str()) || fresh.contains_key(&name) {
                return Err(Error::HandlerExists(name));
            }
            fresh.insert(name, handler);
        }
        self.0.handlers.write().unwrap_or_else(PoisonError::into_inner).extend(fresh);
        self.renew_membership();
        Ok(())
    }

    /// Whether messages called `name` have a handler.
    pub fn has_handler(&self, name: &str) -> bool {
        self.0.handlers.read().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    /// What happens to this relay from now on, beginning with [`Event::Online`] if it is online already.
    pub fn events(&self) -> Events {
        self.listen()
    }

    /// How many requests wait for replies at this moment.
    pub fn waiting(&self) -> usize {
        lock(&self.0.waiters).len()
    }

    /// Gives a draft its id, its sender and its conversation. Under an idempotency key the id is that of the key.
    pub(super) fn compose(&self, draft: Draft, id: Option<MessageId>) -> Message {
        let id = id.unwrap_or_else(|| MessageId::from_uuid(Uuid::now_v7()));
        let mut message = Message {
            id,
            name: draft.name,
            payload: draft.payload,
            sender: Some(self.0.identity.role.clone()),
            activity_id: draft.activity_id,
            response_to: draft.response_to,
            auth: draft.auth,
            is_security: draft.is_security,
            trace: draft.trace,
        };
        message.activity_id = Some(message.conversation());
        message
    }

    /// Puts a message on its way: at once if the bus can, else through the outbox.
    pub(super) fn dispatch(&self, message: Message, until: Option<Instant>) -> Result<(), Error> {
        if self.0.outbox_closing.is_cancelled() {
            return Err(Error::Closed);
        }
        match self.bus().publish_now(&message) {
            None => self.0.outbox.push(message, until),
            Some(verdict) => {
                self.metrics().sent(&verdict);
                judged(&message, &verdict).map_or(Ok(()), Err)
            }
        }
    }

    /// Ends the story of a message from the outbox: sent, or told to whoever waits, or kept as a dead letter.
    pub(super) fn settle(&self, message: &Message, verdict: &Verdict) {
        self.metrics().sent(verdict);
        let Some(error) = judged(message, verdict) else { return };
        if !self.fail_waiter(&message.id, error.clone()) {
            tracing::warn!(message_id = %message.id, name = %message.name, %error, "message was not sent");
            self.bury(message, Direction::Outgoing, error.to_string());
            self.announce_error(error);
        }
    }

    /// Hands over a listener that shall answer until this relay is closed.
    pub(crate) fn drains(&self, listener: Serving) {
        lock(&self.0.listeners).push(listener);
    }

    /// Closes within ten seconds, see [`Relay::close_within`].
    pub async fn close(&self) {
        self.close_within(Duration::from_secs(10)).await;
    }

    /// Stops taking messages, lets handlers and requests that have begun finish, sends what is in the outbox, leaves the
    /// bus, and closes the listeners: all within `grace`. Closing twice does nothing. Answers how many messages were
    /// neither handled nor sent by then.
    pub async fn close_within(&self, grace: Duration) -> usize {
        let deadline = Instant::now() + grace;
        self.start_leaving();
        let idle = async {
            while self.busy() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Whether the time was enough is told by what is left.
        drop(tokio::time::timeout_at(deadline, idle).await);
        self.0.outbox_closing.cancel();
        // Before it leaves, because the bus takes nothing from a relay that has left.
        drop(tokio::time::timeout_at(deadline, self.0.outbox.emptied()).await);
        let left = self.busy() + self.0.subscribers.unfollowed();
        if left > 0 {
            tracing::error!(messages = left, "messages are left unfinished");
        }
        self.leave(deadline).await;
        let listeners = std::mem::take(&mut *lock(&self.0.listeners));
        for listener in listeners {
            listener.drain(deadline.saturating_duration_since(Instant::now())).await;
        }
        self.0.tasks.close();
        if left == 0 && tokio::time::timeout_at(deadline, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("tasks of the relay did not end within the grace time");
        }
        left
    }

    /// Messages in handlers, waiting for handlers, in the outbox, with followers, or waited for.
    fn busy(&self) -> usize {
        let waiting = self.waiting() + self.watchers().len();
        lock(&self.0.gate).len() + self.0.outbox.len() + self.0.subscribers.followed() + waiting
    }

    pub(super) fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.tasks.spawn(task);
    }

    /// Tells whoever listens to the events of something that failed while nobody was waiting for it.
    pub(crate) fn announce_error(&self, error: Error) {
        self.announce(Event::Error(error));
    }

    pub(super) fn announce(&self, event: Event) {
        self.0.announcer.announce(event);
    }

    pub(super) fn announcer(&self) -> &Announcer {
        &self.0.announcer
    }

    pub(super) fn is_closing(&self) -> bool {
        self.0.outbox_closing.is_cancelled()
    }

    pub(super) async fn outbox_closing(&self) {
        self.0.outbox_closing.cancelled().await;
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    pub(super) fn bus(&self) -> &dyn Bus {
        &*self.0.identity.bus
    }

    pub(super) fn presence(&self) -> &Presence {
        &self.0.presence
    }

    pub(super) fn subscribers(&self) -> &Subscribers {
        &self.0.subscribers
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(super) fn letters(&self) -> MutexGuard<'_, DeadLetters> {
        lock(&self.0.dead_letters)
    }

    pub(super) fn waiters(&self) -> MutexGuard<'_, Waiters<Waiter>> {
        lock(&self.0.waiters)
    }

    pub(super) fn watchers(&self) -> MutexGuard<'_, Watchers<oneshot::Sender<Message>>> {
        lock(&self.0.watchers)
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.0.seen)
    }

    pub(super) fn gate(&self) -> MutexGuard<'_, Gate<Job>> {
        lock(&self.0.gate)
    }

    pub(super) fn keys(&self) -> MutexGuard<'_, Keys<Arc<Call>>> {
        lock(&self.0.keys)
    }

    /// The handler of `name`, else the webhook.
    pub(super) fn handler_of(&self, name: &MessageName) -> Option<Handler> {
        let handlers = self.0.handlers.read().unwrap_or_else(PoisonError::into_inner);
        handlers.get(name).cloned().or_else(|| self.fallback().map(|fallback| fallback.handler.clone()))
    }

    pub(super) fn fallback(&self) -> Option<&Fallback> {
        self.0.fallback.as_ref()
    }

    /// The messages this relay wants: those of its settings and those that have a handler.
    pub(super) fn receives(&self) -> Vec<MessageName> {
        let handlers = self.0.handlers.read().unwrap_or_else(PoisonError::into_inner);
        let mut names = self.config().receives.clone();
        names.extend(handlers.keys().cloned());
        names.sort();
        names.dedup();
        names
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }
}

fn judged(message: &Message, verdict: &Verdict) -> Option<Error> {
    let name = message.name.clone();
    match verdict {
        Verdict::Accepted => None,
        Verdict::NoReceivers => Some(Error::NoReceivers(name)),
        Verdict::Forbidden { detail } | Verdict::Refused { detail } => {
            Some(Error::Refused { name, detail: detail.clone() })
        }
        Verdict::Busy { retry_after } => {
            Some(Error::Busy { what: "the receiver's queue", places: 0, retry_after: *retry_after })
        }
    }
}
