//! Requests: a message and whoever waits for the replies to it.

use std::future::IntoFuture;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::rules::Full;
use super::{Draft, Error, Relay};
use crate::message::{ActivityId, Message, MessageId, MessageName};

/// Replies that may wait for a requester that takes them as a stream; a further one is refused and comes again.
const REPLIES_WAITING_MAX: usize = 64;

/// When a requester whose places are taken should try again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Where a reply goes.
pub(super) enum Waiter {
    /// To a request that wants one.
    One(oneshot::Sender<Result<Message, Error>>),
    /// To a request that takes them as they come.
    Many(mpsc::Sender<Result<Message, Error>>),
}

/// Frees the waiter's place when the requester is done, gives up, or goes away.
struct Place {
    relay: Relay,
    id: MessageId,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.relay.waiters().remove(&self.id);
    }
}

/// A request about to be made: await it for the first reply, or take [`Requesting::replies`] one by one.
#[must_use = "nothing is sent until this is awaited"]
pub struct Requesting {
    relay: Relay,
    draft: Result<Draft, Error>,
    timeout: Duration,
    last: Option<MessageName>,
    replies_max: Option<usize>,
}

impl Requesting {
    /// How long to wait in all; the relay's `request_timeout_ms` unless said.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Puts the request into a conversation.
    pub fn activity<A>(mut self, activity: A) -> Self
    where
        A: TryInto<ActivityId>,
        Error: From<A::Error>,
    {
        self.draft = self.draft.and_then(|draft| draft.in_activity(activity));
        self
    }

    /// Says on whose behalf the request is made: any value, opaque to the bus.
    pub fn auth(mut self, auth: impl Serialize) -> Self {
        self.draft = self.draft.and_then(|draft| draft.on_behalf(&auth));
        self
    }

    /// Makes the request once, however often this is called with the same key: later calls get the first one's reply.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.draft = self.draft.map(|draft| draft.under_key(key));
        self
    }

    /// Ends the stream of replies with the one of this name. A name that is no message name ends it never.
    pub fn until(mut self, name: &str) -> Self {
        self.last = MessageName::parse(name).ok();
        self
    }

    /// Ends the stream of replies after this many.
    pub fn at_most(mut self, replies: usize) -> Self {
        self.replies_max = Some(replies);
        self
    }

    /// Sends the request and gives its replies as they come. Errors: those of [`Relay::send`].
    pub fn replies(self) -> Result<Replies, Error> {
        let mut replies = self.relay.replies_to(self.draft?, self.timeout)?;
        replies.last = self.last;
        replies.left = self.replies_max;
        Ok(replies)
    }
}

impl IntoFuture for Requesting {
    type Output = Result<Message, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move { self.relay.request_draft(self.draft?, self.timeout).await }.boxed()
    }
}

/// The replies to one request. Dropping it frees the waiter's place.
pub struct Replies {
    place: Place,
    replies: mpsc::Receiver<Result<Message, Error>>,
    name: MessageName,
    timeout: Duration,
    deadline: Instant,
    last: Option<MessageName>,
    left: Option<usize>,
    done: bool,
}

impl Replies {
    /// The id of the request.
    pub fn id(&self) -> &MessageId {
        &self.place.id
    }

    /// The next reply. `None` after the final name, after the count, or when the time is over and neither was asked for;
    /// otherwise the end of the time is [`Error::NoReply`], as it is when no reply came at all. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        if self.done || self.left == Some(0) {
            return None;
        }
        let received = tokio::time::timeout_at(self.deadline, self.replies.recv()).await;
        let Ok(Some(outcome)) = received else {
            self.done = true;
            return Some(Err(Error::NoReply { name: self.name.clone(), timeout: self.timeout }));
        };
        match &outcome {
            Ok(reply) => {
                self.left = self.left.map(|left| left - 1);
                self.done = self.last.as_ref() == Some(&reply.name);
            }
            Err(_) => self.done = true,
        }
        Some(outcome)
    }
}

impl Relay {
    /// Sends `name` and waits for the reply to it. Await the result, or take its [`Requesting::replies`].
    ///
    /// Errors: those of [`Relay::send`], and [`Error::NoReply`] when the time is over, [`Error::NoReceivers`] when
    /// nobody on the bus takes such messages, [`Error::Undeliverable`] when the service that does cannot be reached.
    /// Dropping the future frees the waiter's place; the message may have been sent.
    pub fn request<N>(&self, name: N, payload: impl Serialize) -> Requesting
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        let draft = Draft::of(name, &payload);
        let timeout = self.config().request_timeout();
        Requesting { relay: self.clone(), draft, timeout, last: None, replies_max: None }
    }

    /// Makes a request; under an idempotency key only the first of equal ones.
    pub(crate) async fn request_draft(&self, draft: Draft, timeout: Duration) -> Result<Message, Error> {
        if draft.idempotency_key.is_none() {
            return self.ask(self.compose(draft, None), timeout).await;
        }
        let call = self.call_for(&draft)?;
        let first = || self.ask(self.compose(draft, Some(call.id.clone())), timeout);
        call.reply.get_or_try_init(first).await.cloned()
    }

    async fn ask(&self, message: Message, timeout: Duration) -> Result<Message, Error> {
        let (sender, receiver) = oneshot::channel();
        let name = message.name.clone();
        let deadline = Instant::now() + timeout;
        let _place = self.wait_for(&message.id, Waiter::One(sender))?;
        self.dispatch(message, Some(deadline))?;
        match tokio::time::timeout_at(deadline, receiver).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => Err(Error::NoReply { name, timeout }),
        }
    }

    pub(super) fn replies_to(&self, draft: Draft, timeout: Duration) -> Result<Replies, Error> {
        let message = self.compose(draft, None);
        let (sender, replies) = mpsc::channel(REPLIES_WAITING_MAX);
        let place = self.wait_for(&message.id, Waiter::Many(sender))?;
        let (name, deadline) = (message.name.clone(), Instant::now() + timeout);
        self.dispatch(message, Some(deadline))?;
        Ok(Replies { place, replies, name, timeout, deadline, last: None, left: None, done: false })
    }

    fn wait_for(&self, id: &MessageId, waiter: Waiter) -> Result<Place, Error> {
        let places = self.config().waiters_max;
        self.waiters().insert(id.clone(), waiter).map_err(|Full| Error::Busy {
            what: "the table of waiting requests",
            places,
            retry_after: RETRY_AFTER,
        })?;
        Ok(Place { relay: self.clone(), id: id.clone() })
    }
}
