//! Builder of a message to be sent.

use std::future::{Future, IntoFuture};
use std::mem;
use std::pin::Pin;
use std::task::{self, Poll, ready};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;

use super::Relay;
use crate::message::{ActivityId, Message, MessageId, Pending, Receipt};
use crate::relay::Error;
use crate::relay::outgoing::Draft;

/// A message to be sent: await it for the id. The future completes when the message is accepted, or refused with
/// [`Error::Busy`]. Dropping it after it was polled does not recall the message.
#[must_use = "nothing is sent until this is awaited"]
pub struct Sending {
    relay: Relay,
    draft: Result<Draft, Error>,
}

impl Sending {
    pub(super) fn new(relay: Relay, draft: Result<Draft, Error>) -> Self {
        Self { relay, draft }
    }

    /// Marks the message as a reply to the message `id`.
    pub fn in_reply_to(mut self, id: MessageId) -> Self {
        if let Ok(draft) = &mut self.draft {
            draft.response_to = Some(id);
        }
        self
    }

    pub(super) fn answering(mut self, request: &Message) -> Self {
        self.draft = self.draft.map(|draft| draft.answering(request));
        self
    }

    pub(super) fn led_to_by(mut self, cause: &Message) -> Self {
        if let Ok(draft) = &mut self.draft {
            draft.properties = cause.properties.of_follower();
        }
        self
    }

    /// Sets on whose behalf the message is sent: any value, opaque to the bus. Replies carry it back.
    pub fn auth(mut self, auth: impl Serialize) -> Self {
        self.draft = self.draft.and_then(|draft| draft.on_behalf(&auth));
        self
    }

    /// Marks the message as one of the security side channel. It grants no rights by itself. exo 3.6.
    pub fn security(mut self) -> Self {
        if let Ok(draft) = &mut self.draft {
            draft.is_security = true;
        }
        self
    }

    /// Sends the message in `activity`. By default it gets the activity of the message it answers, else a new one.
    pub fn activity<A>(mut self, activity: A) -> Self
    where
        A: TryInto<ActivityId>,
        Error: From<A::Error>,
    {
        self.draft = self.draft.and_then(|draft| draft.in_activity(activity));
        self
    }

    /// Sends the message once, however often this is called with the same key: later calls return the id of the first.
    /// A different message under the same key is an [`Error::IdempotencyMismatch`], as is a request. After any other error
    /// the next call sends it, under the same id.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.draft = self.draft.map(|draft| draft.under_key(key));
        self
    }

    /// Sends the message. `Err` is the outcome, if it is known at once.
    fn start(self) -> Result<State, Result<MessageId, Error>> {
        let Self { relay, draft } = self;
        let draft = draft.map_err(Err)?;
        if draft.idempotency_key.is_some() {
            let sending = async move { Ok(relay.send_draft(draft).await?.id) };
            return Ok(State::Keyed(sending.boxed()));
        }
        let (sent, receipt) = relay.0.outgoing.start(draft);
        match receipt {
            Receipt::Now(outcome) => Err(outcome.map(|()| sent.id)),
            Receipt::Later(pending) => Ok(State::Sent(sent.id, pending)),
        }
    }

    pub(super) fn into_parts(self) -> (Relay, Result<Draft, Error>) {
        (self.relay, self.draft)
    }
}

impl IntoFuture for Sending {
    type Output = Result<MessageId, Error>;
    type IntoFuture = Accepting;

    fn into_future(self) -> Self::IntoFuture {
        Accepting(State::Unsent(self))
    }
}

/// Future of [`Sending`]. It does not allocate if the message is accepted at once, which is the common case.
#[must_use = "nothing is sent until this is awaited"]
pub struct Accepting(State);

#[allow(clippy::large_enum_variant, reason = "a box would allocate for each message")]
enum State {
    Unsent(Sending),
    /// Sent, and waiting for the confirmation.
    Sent(MessageId, Pending<Result<(), Error>>),
    /// Sent under an idempotency key, possibly by another call.
    Keyed(BoxFuture<'static, Result<MessageId, Error>>),
    Done,
}

impl Future for Accepting {
    type Output = Result<MessageId, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        if let State::Unsent(_) = &self.0
            && let State::Unsent(sending) = mem::replace(&mut self.0, State::Done)
        {
            match sending.start() {
                Ok(state) => self.0 = state,
                Err(outcome) => return Poll::Ready(outcome),
            }
        }
        let outcome = match &mut self.0 {
            State::Sent(id, pending) => ready!(Pin::new(pending).poll(context)).map(|()| id.clone()),
            State::Keyed(sending) => ready!(sending.as_mut().poll(context)),
            State::Unsent(_) | State::Done => panic!("a send was polled after it had completed"),
        };
        self.0 = State::Done;
        Poll::Ready(outcome)
    }
}
