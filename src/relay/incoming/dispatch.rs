//! The incoming half of a relay.

mod closing;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use super::failures::Failures;
use super::handlers::HandlerTable;
use super::jobs::{Job, Jobs};
use super::outcome::{Failure, Outcome, RETRY_AFTER, Refused};
use super::rules::{Answerable, Fingerprint, Occasional, Seen, Sight};
use super::subscribers::Subscribers;
use super::watch::ActivityWatchers;
use crate::chain::chain;
use crate::memory::Share;
use crate::message::{FAILED, Message, MessageId, MessageName, Properties, UNDELIVERED};
use crate::relay::dead_letters::DeadLetters;
use crate::relay::events::EventSender;
use crate::relay::outgoing::{Late, Outgoing, ReplyOutcome};
use crate::relay::panics::panic_text;
use crate::relay::{Attributed, Cause, Config, Error, Metrics};
use crate::sync::lock;

/// Reason why requests are not answered by a relay that is closed.
const CLOSED: &str = "the relay of the service was closed before the message was handled";

/// Result of a handler.
type Handled = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A message that was accepted, and what the caller has to do about it.
#[allow(clippy::large_enum_variant, reason = "it is moved once, and a box would allocate for each message")]
pub(in crate::relay) enum Accepted<H> {
    /// Nothing: it is processed, or queued for subscribers.
    Done,
    /// Nothing: it waits for its handler.
    Queued,
    /// Run the job: see [`Incoming::run`].
    Run(Job<H>),
}

/// Receives messages and routes each to the waiting request, the handler or the subscribers that take it. `H` is the type
/// of a handler.
pub(in crate::relay) struct Incoming<H> {
    handlers: RwLock<HandlerTable<H>>,
    seen: Mutex<Seen>,
    /// Seed of the fingerprints in `seen`.
    seed: u64,
    jobs: Jobs<H>,
    subscribers: Arc<Subscribers>,
    watchers: Arc<ActivityWatchers>,
    outgoing: Arc<Outgoing>,
    failures: Arc<Failures>,
    metrics: Metrics,
    inbox_messages_max: usize,
    /// Names that the role declares to receive.
    receives: Vec<MessageName>,
    /// For answers that name only the id of their message.
    answerable: Mutex<Answerable>,
    reused_warning: Mutex<Occasional>,
    /// Requests in handlers, and the signal that ends them when the relay has no more time.
    requests_running: AtomicUsize,
    /// Other messages in handlers, which are given back then.
    others_running: AtomicUsize,
    abandoned: CancellationToken,
}

impl<H: Clone> Incoming<H> {
    pub(in crate::relay) fn new(
        config: &Config,
        handlers: HandlerTable<H>,
        outgoing: Arc<Outgoing>,
        dead_letters: Arc<DeadLetters>,
        events: EventSender,
        metrics: Metrics,
    ) -> Self {
        let failures = Failures::new(Arc::clone(&outgoing), Arc::clone(&dead_letters), events);
        let failures = Arc::new(failures);
        let seen_window = Duration::from_millis(config.seen_window_ms);
        Self {
            handlers: RwLock::new(handlers),
            seen: Mutex::new(Seen::new(config.seen_messages_max, config.seen_keys_max, seen_window)),
            seed: Uuid::new_v4().as_u64_pair().0,
            jobs: Jobs::new(
                config.handlers_concurrent_max,
                config.inbox_messages_max,
                Share::new(&config.memory, config.inbox_bytes_max),
            ),
            subscribers: Arc::new(Subscribers::new(config, dead_letters, Arc::clone(&failures))),
            watchers: Arc::new(ActivityWatchers::new(config.waiters_max)),
            outgoing,
            failures,
            metrics,
            inbox_messages_max: config.inbox_messages_max,
            receives: config.receives.clone(),
            answerable: Mutex::new(Answerable::new(config.inbox_messages_max)),
            reused_warning: Mutex::default(),
            requests_running: AtomicUsize::new(0),
            others_running: AtomicUsize::new(0),
            abandoned: CancellationToken::new(),
        }
    }

    /// Accepts a message from the bus, unless it is a duplicate. `done` receives the outcome of its handler. Never waits.
    pub(in crate::relay) fn accept(
        &self,
        message: Message,
        done: Option<oneshot::Sender<Outcome>>,
    ) -> Result<Accepted<H>, Refused> {
        let fingerprint = Fingerprint::of(&message, self.seed);
        let repeat = Duration::from_millis(message.properties.repeat_ms);
        let sight = lock(&self.seen).insert(fingerprint, repeat, Instant::now());
        match sight {
            Sight::New => {}
            Sight::ReusedId => self.reused_id(&message),
            Sight::Duplicate => {
                self.metrics.duplicate();
                tracing::debug!(message_id = %message.id, name = %message.name, "duplicate, not handled again");
                return Ok(Accepted::Done);
            }
            Sight::Full => {
                self.metrics.refused();
                return Err(Refused::Busy { retry_after: RETRY_AFTER });
            }
        }
        let name = message.name.clone();
        let outcome = self.route(message, done);
        if outcome.is_ok() {
            self.metrics.received(&name);
        } else {
            self.metrics.refused();
            lock(&self.seen).remove(fingerprint);
        }
        outcome
    }

    /// Reports a message whose id its sender has used for another one.
    fn reused_id(&self, message: &Message) {
        self.metrics.reused_id();
        let sender = message.sender.as_ref().map_or("a sender without a name", |sender| sender.as_str());
        let (id, name) = (&message.id, &message.name);
        let text = format!(
            "{sender} has sent {name} under the id {id} of another message: both are handled, but a sender that uses an id \
             twice cannot be protected from duplicates"
        );
        if lock(&self.reused_warning).is_due(Instant::now()) {
            tracing::warn!("{text}");
        }
        self.failures.event(Error::Incoming(text));
    }

    /// Gives a message back that its handler cannot handle: see [`Outgoing::give_back`]. It may come again later.
    pub(in crate::relay) async fn give_back(&self, message: &Message) -> bool {
        let fingerprint = Fingerprint::of(message, self.seed);
        // Before it is given back: it may be here again before the bus has answered.
        lock(&self.seen).remove(fingerprint);
        let is_given_back = self.outgoing.give_back(message, self.is_closed()).await;
        if !is_given_back {
            let repeat = Duration::from_millis(message.properties.repeat_ms);
            lock(&self.seen).insert(fingerprint, repeat, Instant::now());
        }
        is_given_back
    }

    /// Completes the properties of an answer to the message with this id.
    pub(in crate::relay) fn complete_answer(&self, id: &MessageId, answer: &mut Properties) {
        lock(&self.answerable).complete(id, answer);
    }

    /// Accepts a dead letter again, although it is a duplicate.
    pub(in crate::relay) fn accept_again(&self, message: Message) -> Result<Accepted<H>, Error> {
        let name = message.name.clone();
        self.route(message, None).map_err(|refused| match refused {
            Refused::Unknown => Error::Refused {
                name,
                detail: "no handler, webhook or subscriber takes messages of this name any more".into(),
            },
            Refused::Busy { retry_after } => {
                Error::Busy { what: "the inbox", places: self.inbox_messages_max, retry_after }
            }
            Refused::Closing { .. } => Error::Closed,
        })
    }

    /// Routes the message to its receiver, and shows it to callers that wait for its activity. A message that only they
    /// want counts as accepted.
    fn route(&self, message: Message, done: Option<oneshot::Sender<Outcome>>) -> Result<Accepted<H>, Refused> {
        let watched = !is_notice(&message) && self.watchers.notify(&message);
        match self.deliver(message, done) {
            Err(Refused::Unknown | Refused::Closing { .. }) if watched => Ok(Accepted::Done),
            outcome => outcome,
        }
    }

    /// Delivers the message to the first that takes it: a waiting request, a handler, the webhook, a subscriber.
    fn deliver(&self, message: Message, done: Option<oneshot::Sender<Outcome>>) -> Result<Accepted<H>, Refused> {
        let late = match &message.response_to {
            None => None,
            Some(request) if is_notice(&message) => {
                self.outgoing.take_notice(request, &message);
                return Ok(Accepted::Done);
            }
            Some(request) => match self.outgoing.complete(request, &message) {
                ReplyOutcome::Accepted => return Ok(Accepted::Done),
                ReplyOutcome::Full => return Err(Refused::Busy { retry_after: RETRY_AFTER }),
                ReplyOutcome::Late(late) => Some(late),
                ReplyOutcome::Unknown => None,
            },
        };
        if self.jobs.is_closed() {
            return Err(Refused::Closing { retry_after: RETRY_AFTER });
        }
        if late == Some(Late::First) {
            tracing::info!(message_id = %message.id, name = %message.name, "a reply came after its request had ended");
        }
        lock(&self.answerable).insert(&message);
        let handler = self.handlers().find(&message.name, || self.fallback_wants(&message));
        if let Some(handler) = handler {
            let job = self.jobs.enter(Job { message, accepted: Instant::now(), handler, done })?;
            return Ok(job.map_or(Accepted::Queued, Accepted::Run));
        }
        if self.subscribers.accepts(&message.name) {
            let queued = self.subscribers.offer(message);
            return if queued { Ok(Accepted::Done) } else { Err(Refused::Busy { retry_after: RETRY_AFTER }) };
        }
        if message.response_to.is_some() {
            self.metrics.unwanted_reply();
            return Ok(Accepted::Done);
        }
        Err(Refused::Unknown)
    }

    /// Returns true if a message without a handler goes to the webhook: it is one that the role receives. A role that
    /// declares none takes all, but a reply that nobody waits for only if no broker knows what it receives: the webhook would
    /// answer it, and the answer would come back like the reply.
    fn fallback_wants(&self, message: &Message) -> bool {
        match self.receives.is_empty() {
            false => self.receives.contains(&message.name),
            true => message.response_to.is_none() || !self.outgoing.registers_names(),
        }
    }

    /// Runs `job` with `call`, then those that wait behind it. A handler that fails or panics makes its message a dead
    /// letter.
    pub(in crate::relay) async fn run(
        &self,
        job: Job<H>,
        call: impl Fn(&H, Message) -> BoxFuture<'static, Handled> + Send + Sync,
    ) {
        let mut next = Some(job);
        while let Some(Job { message, accepted, handler, done }) = next {
            let bytes = message.memory_bytes();
            let span = tracing::debug_span!(
                "message",
                message_id = %message.id,
                activity_id = %message.conversation(),
                name = %message.name
            );
            let run = async {
                // The call itself may panic too, before it returns a future.
                let running = handled(async { call(&handler, message.clone()).await });
                let outcome = match &message.properties.reply_to {
                    None if done.is_none() => self.unless_given_back(&message, running).await,
                    None => running.await,
                    Some(_) => self.unless_abandoned(running).await,
                };
                self.metrics.handled(&message.name, accepted);
                if let Err(failure) = &outcome {
                    self.failures.report(&message, failure);
                }
                if let Some(done) = done {
                    // The caller may have gone away.
                    drop(done.send(outcome));
                }
            };
            run.instrument(span).await;
            next = self.jobs.finish(bytes);
        }
    }

    /// Waits for the handler of a request, until the relay is closed and has no more time for it.
    async fn unless_abandoned(&self, running: impl Future<Output = Outcome>) -> Outcome {
        self.requests_running.fetch_add(1, Ordering::AcqRel);
        let outcome = tokio::select! {
            // First, so that a handler that is done at once costs no wait for the other.
            biased;
            outcome = running => outcome,
            () = self.abandoned.cancelled() => Err(closed()),
        };
        self.requests_running.fetch_sub(1, Ordering::AcqRel);
        outcome
    }

    /// Adds handlers, all or none. Errors: [`Error::HandlerExists`].
    pub(in crate::relay) fn add_handlers(&self, table: Vec<(MessageName, H)>) -> Result<(), Error> {
        self.handlers.write().unwrap_or_else(PoisonError::into_inner).add_all(table)
    }

    pub(in crate::relay) fn has_handler(&self, name: &str) -> bool {
        self.handlers().contains(name)
    }

    /// Returns the names of the messages that have a handler.
    pub(in crate::relay) fn handled_names(&self) -> Vec<MessageName> {
        self.handlers().names().cloned().collect()
    }

    /// Returns the reason why the service behind the webhook cannot be reached, if that is known.
    pub(in crate::relay) fn service_error(&self) -> Option<String> {
        self.handlers().fallback_error()
    }

    fn handlers(&self) -> RwLockReadGuard<'_, HandlerTable<H>> {
        self.handlers.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if a caller waits for this very message: as a reply, or as the next of its activity.
    pub(in crate::relay) fn awaits(&self, message: &Message) -> bool {
        let is_reply = |request: &MessageId| self.outgoing.awaits(request);
        message.response_to.as_ref().is_some_and(is_reply) || self.watchers.contains(message)
    }

    pub(in crate::relay) fn subscribers(&self) -> &Arc<Subscribers> {
        &self.subscribers
    }

    pub(in crate::relay) fn watchers(&self) -> &Arc<ActivityWatchers> {
        &self.watchers
    }

    /// Number of messages in handlers, or waiting for a handler or a subscriber.
    pub(in crate::relay) fn inbox(&self) -> usize {
        self.jobs.len() + self.subscribers.waiting()
    }

    /// Number of messages with a handler or a connected subscriber, and of callers that wait for an activity.
    pub(in crate::relay) fn pending(&self) -> usize {
        self.jobs.len() + self.subscribers.with_reader() + self.watchers.len()
    }

    /// Refuses messages from now on, except replies.
    pub(in crate::relay) fn close(&self) {
        self.jobs.close();
        self.subscribers.drain();
    }

    pub(in crate::relay) fn is_closed(&self) -> bool {
        self.jobs.is_closed()
    }
}

/// Returns the failure of a message that a closed relay has not handled.
fn closed() -> Failure {
    Failure::new(Cause::RelayClosed, CLOSED)
}

/// Returns the outcome of a handler, which may panic.
async fn handled(call: impl Future<Output = Handled>) -> Outcome {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            let cause = error.downcast_ref::<Attributed>().map_or(Cause::HandlerFailed, |known| known.cause);
            Err(Failure::new(cause, chain(&*error)))
        }
        Err(panic) => {
            let reason = format!("the handler panicked: {}", panic_text(&*panic));
            Err(Failure::new(Cause::HandlerPanicked, reason))
        }
    }
}

/// Returns true for a notice about the fate of a message, which is not for handlers.
fn is_notice(message: &Message) -> bool {
    [FAILED, UNDELIVERED].contains(&message.name.as_str())
}
