//! Receiving: what becomes of a message that the bus delivers.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use serde::Deserialize;
use tokio::sync::oneshot;
use tracing::Instrument;

use super::context::Handler;
use super::request::Waiter;
use super::rules::{Direction, Entry, Late};
use super::{Context, Error, Relay};
use crate::message::{Delivery, Inbox, Message, MessageId, MessageName, Receipt, Role};

/// The name under which a broker tells that it could not deliver what it had accepted.
const UNDELIVERED: &str = "exocom.undelivered";

/// When a broker that found the inbox full should try again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Why a delivery is not accepted. The message is not noted as seen, so it may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No handler, no webhook, no subscriber takes messages of this name.
    Unknown,
    /// The inbox is full.
    Busy {
        /// When a new try makes sense.
        retry_after: Duration,
    },
    /// The relay is shutting down.
    Closing,
}

/// How the handler of a message ended; the text is the reason of its dead letter.
pub(super) type Outcome = Result<(), String>;

/// A message with the handler it goes to.
pub(super) struct Job {
    message: Message,
    handler: Handler,
    done: Option<oneshot::Sender<Outcome>>,
}

/// What was done with a message that was accepted.
enum Taken {
    /// There is nothing left to do.
    Settled,
    /// Its handler runs, or will.
    Handled,
}

impl Relay {
    /// Accepts a message from the bus: when this answers `Ok`, the message has its place, and what is to be done with
    /// it is done in the background. Never waits.
    pub(crate) fn receive(&self, message: Message) -> Result<(), Refused> {
        self.accept(message, None).map(drop)
    }

    /// Accepts a message from the bus and waits for its handler, as the originals of the HTTP era do.
    pub(crate) async fn receive_handled(&self, message: Message) -> Result<Outcome, Refused> {
        let (done, finished) = oneshot::channel();
        match self.accept(message, Some(done))? {
            Taken::Settled => Ok(Ok(())),
            Taken::Handled => Ok(finished.await.unwrap_or_else(|_| Err("the relay was closed".into()))),
        }
    }

    /// Accepts a dead letter once more: it has been seen, and that must not stop it.
    pub(super) fn receive_again(&self, message: Message) -> Result<(), Error> {
        let name = message.name.clone();
        match self.route(message, None) {
            Ok(_) => Ok(()),
            Err(Refused::Unknown) => Err(Error::Refused {
                name,
                detail: "no handler, webhook or subscriber takes messages of this name any more".into(),
            }),
            Err(Refused::Busy { retry_after }) => {
                Err(Error::Busy { what: "the inbox", places: self.config().inbox_messages_max, retry_after })
            }
            Err(Refused::Closing) => Err(Error::Closed),
        }
    }

    fn accept(&self, message: Message, done: Option<oneshot::Sender<Outcome>>) -> Result<Taken, Refused> {
        if !self.seen().insert(&message.id, Instant::now()) {
            self.metrics().duplicates.inc();
            tracing::debug!(message_id = %message.id, name = %message.name, "duplicate, not handled again");
            return Ok(Taken::Settled);
        }
        let id = message.id.clone();
        let outcome = self.route(message, done);
        if outcome.is_ok() {
            self.metrics().received.inc();
        } else {
            self.metrics().refused.inc();
            self.seen().remove(&id);
        }
        outcome
    }

    /// Gives the message to whoever takes it, and shows it to those who wait for its conversation. One that is for them
    /// alone is taken by that.
    fn route(&self, message: Message, done: Option<oneshot::Sender<Outcome>>) -> Result<Taken, Refused> {
        let watched = message.name.as_str() != UNDELIVERED && self.show_watchers(&message);
        match self.find_taker(message, done) {
            Err(Refused::Unknown | Refused::Closing) if watched => Ok(Taken::Settled),
            outcome => outcome,
        }
    }

    /// Finds who takes the message: a waiting request, a handler, the webhook, a subscriber.
    fn find_taker(&self, message: Message, done: Option<oneshot::Sender<Outcome>>) -> Result<Taken, Refused> {
        let mut late = None;
        if let Some(request) = &message.response_to {
            if message.name.as_str() == UNDELIVERED {
                self.undelivered(request, &message);
                return Ok(Taken::Settled);
            }
            match self.reply(request, &message) {
                Reply::Taken => return Ok(Taken::Settled),
                Reply::Full => return Err(Refused::Busy { retry_after: RETRY_AFTER }),
                Reply::Late(found) => late = Some(found),
                Reply::Stray => {}
            }
        }
        if self.presence().is_leaving() {
            return Err(Refused::Closing);
        }
        if late == Some(Late::First) {
            tracing::info!(message_id = %message.id, name = %message.name, "a reply came after its request had ended");
        }
        if let Some(handler) = self.handler_of(&message.name) {
            return self.run(Job { message, handler, done }).map(|()| Taken::Handled);
        }
        if self.subscribers().wants(&message.name) {
            let queued = self.subscribers().offer(message);
            return if queued { Ok(Taken::Settled) } else { Err(Refused::Busy { retry_after: RETRY_AFTER }) };
        }
        if late.is_some() {
            return Ok(Taken::Settled);
        }
        Err(Refused::Unknown)
    }

    fn reply(&self, request: &MessageId, reply: &Message) -> Reply {
        let mut waiters = self.waiters();
        match waiters.get(request) {
            None => waiters.late(request).map_or(Reply::Stray, Reply::Late),
            Some(Waiter::Many(replies)) => match replies.try_send(Ok(reply.clone())) {
                Ok(()) => Reply::Taken,
                Err(_) => Reply::Full,
            },
            Some(Waiter::One(_)) => {
                let taken = waiters.remove(request);
                drop(waiters);
                if let Some(Waiter::One(waiter)) = taken {
                    // Its requester may have gone away this very moment; the reply is then late, and nobody's.
                    drop(waiter.send(Ok(reply.clone())));
                }
                Reply::Taken
            }
        }
    }

    /// Tells whoever waits for a reply to `id` that there will be none. `false` if nobody waits.
    pub(super) fn fail_waiter(&self, id: &MessageId, error: Error) -> bool {
        let mut waiters = self.waiters();
        match waiters.get(id) {
            None => false,
            Some(Waiter::Many(replies)) => replies.try_send(Err(error)).is_ok(),
            Some(Waiter::One(_)) => {
                let taken = waiters.remove(id);
                drop(waiters);
                match taken {
                    Some(Waiter::One(waiter)) => waiter.send(Err(error)).is_ok(),
                    Some(Waiter::Many(_)) | None => false,
                }
            }
        }
    }

    fn undelivered(&self, id: &MessageId, notice: &Message) {
        let told = notice.payload::<Undelivered>().unwrap_or_else(|_| Undelivered {
            name: None,
            receiver: None,
            reason: "the broker gave no reason".into(),
        });
        let name = told.name.unwrap_or_else(|| notice.name.clone());
        let error = match told.receiver {
            Some(_) => Error::Undeliverable { name, reason: told.reason },
            None => Error::NoReceivers(name),
        };
        if !self.fail_waiter(id, error.clone()) {
            tracing::warn!(message_id = %id, %error, "a message was not delivered");
            self.announce_error(error);
        }
    }

    fn run(&self, job: Job) -> Result<(), Refused> {
        let entry = {
            let mut gate = self.gate();
            // Looked at once more under the lock that `start_leaving` takes: what enters is waited for.
            if self.presence().is_leaving() {
                return Err(Refused::Closing);
            }
            gate.enter(job)
        };
        match entry {
            Entry::Waiting => Ok(()),
            Entry::Full => Err(Refused::Busy { retry_after: RETRY_AFTER }),
            Entry::Run(job) => {
                self.spawn(self.clone().run_jobs(job));
                Ok(())
            }
        }
    }

    /// Runs `job`, then whatever waits for its place.
    async fn run_jobs(self, mut job: Job) {
        loop {
            self.run_job(job).await;
            let next = self.gate().leave();
            match next {
                Some(waiting) => job = waiting,
                None => return,
            }
        }
    }

    async fn run_job(&self, job: Job) {
        let Job { message, handler, done } = job;
        let span = tracing::debug_span!(
            "message",
            message_id = %message.id,
            activity_id = %message.conversation(),
            name = %message.name
        );
        let run = async {
            let context = Context::new(self.clone(), message.clone());
            // The call itself may panic too, before there is a future.
            let running = AssertUnwindSafe(async { handler(message.clone(), context).await });
            let outcome = match running.catch_unwind().await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(panic) => Err(format!("the handler panicked: {}", panic_text(&*panic))),
            };
            if let Err(reason) = &outcome {
                self.handler_failed(&message, reason);
            }
            if let Some(done) = done {
                // Whoever waited for the outcome may be gone.
                drop(done.send(outcome));
            }
        };
        run.instrument(span).await;
    }

    fn handler_failed(&self, message: &Message, reason: &str) {
        let (message_id, name) = (&message.id, &message.name);
        tracing::warn!(%message_id, %name, reason, "message was not handled, it is among the dead letters");
        self.bury(message, Direction::Incoming, reason.to_owned());
        let (name, id) = (message.name.clone(), message.id.clone());
        self.announce_error(Error::HandlerFailed { name, id, reason: reason.to_owned() });
    }
}

/// What `reply` found.
enum Reply {
    Taken,
    Full,
    Late(Late),
    Stray,
}

/// The payload of a broker's notice.
#[derive(Deserialize)]
struct Undelivered {
    name: Option<MessageName>,
    /// `None` when there was nobody to deliver it to.
    receiver: Option<Role>,
    reason: String,
}

impl Inbox for Relay {
    fn deliver(&self, message: Message) -> Receipt<Delivery> {
        Receipt::Now(match self.receive(message) {
            Ok(()) => Delivery::Accepted,
            Err(Refused::Unknown) => Delivery::Unknown,
            Err(Refused::Busy { retry_after }) => Delivery::Busy { retry_after },
            Err(Refused::Closing) => Delivery::Busy { retry_after: RETRY_AFTER },
        })
    }

    fn awaits(&self, message: &Message) -> bool {
        let request = message.response_to.as_ref();
        request.is_some_and(|request| self.waiters().get(request).is_some())
            || self.watchers().contains(&message.conversation())
    }

    fn report_error(&self, words: &str) {
        tracing::warn!(words, "something that came over the bus could not be taken");
        self.announce_error(Error::Incoming(words.to_owned()));
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}
