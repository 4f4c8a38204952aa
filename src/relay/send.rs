//! Sending: what is to be said about a message before it goes, and the way it goes.

use std::future::{Future, IntoFuture, Ready, ready};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use super::{Context, Error, Relay};
use crate::message::{ActivityId, Message, MessageId, MessageName, Payload, TraceParent};

/// A message before it has an id.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) name: MessageName,
    pub(crate) payload: Option<Payload>,
    pub(crate) activity_id: Option<ActivityId>,
    pub(crate) response_to: Option<MessageId>,
    pub(crate) auth: Option<Payload>,
    pub(crate) is_security: bool,
    pub(crate) trace: Option<TraceParent>,
    pub(crate) idempotency_key: Option<String>,
}

impl Draft {
    pub(crate) fn new(name: MessageName, payload: Option<Payload>) -> Self {
        Self {
            name,
            payload,
            activity_id: None,
            response_to: None,
            auth: None,
            is_security: false,
            trace: None,
            idempotency_key: None,
        }
    }

    /// A payload of `null` is no payload, as the originals have it.
    pub(crate) fn of<N>(name: N, payload: &impl Serialize) -> Result<Self, Error>
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        let name = name.try_into()?;
        let payload = Payload::of(payload).map_err(|cause| Error::Payload { name: name.clone(), cause })?;
        Ok(Self::new(name, Some(payload).filter(|payload| !payload.is_null())))
    }

    pub(super) fn in_activity<A>(mut self, activity: A) -> Result<Self, Error>
    where
        A: TryInto<ActivityId>,
        Error: From<A::Error>,
    {
        self.activity_id = Some(activity.try_into()?);
        Ok(self)
    }

    /// Makes it the answer to `request`: in the same conversation and trace, on the same behalf. exo 4.2.
    pub(super) fn answering(mut self, request: &Message) -> Self {
        self.response_to = Some(request.id.clone());
        self.activity_id = Some(request.conversation());
        self.auth = request.auth.clone();
        self.is_security = request.is_security;
        self.trace = request.trace.clone();
        self
    }

    pub(super) fn on_behalf(mut self, auth: &impl Serialize) -> Result<Self, Error> {
        let auth = Payload::of(auth).map_err(|cause| Error::Payload { name: self.name.clone(), cause })?;
        self.auth = Some(auth).filter(|auth| !auth.is_null());
        Ok(self)
    }

    pub(super) fn under_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// What tells one call under an idempotency key from another.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.name.hash(&mut hasher);
        self.payload.as_ref().map(|payload| payload.as_bytes()).hash(&mut hasher);
        self.activity_id.hash(&mut hasher);
        self.response_to.hash(&mut hasher);
        self.auth.as_ref().map(|auth| auth.as_bytes()).hash(&mut hasher);
        self.is_security.hash(&mut hasher);
        hasher.finish()
    }
}

/// Which message was sent: what `POST /send` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) id: MessageId,
    pub(crate) activity_id: ActivityId,
}

impl Sent {
    fn of(message: &Message) -> Self {
        Self { id: message.id.clone(), activity_id: message.conversation() }
    }
}

/// A message about to be sent: await it. Sending itself never waits; the message has its place in the outbox, or is
/// refused with [`Error::Busy`].
#[must_use = "nothing is sent until this is awaited"]
pub struct Sending {
    relay: Relay,
    draft: Result<Draft, Error>,
}

impl Sending {
    /// Marks the message as the answer to `id`.
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

    /// Says on whose behalf the message is sent: any value, opaque to the bus. Replies carry it back.
    pub fn auth(mut self, auth: impl Serialize) -> Self {
        self.draft = self.draft.and_then(|draft| draft.on_behalf(&auth));
        self
    }

    /// Marks the message as one of the security side channel. It gives no rights by itself. exo 3.6.
    pub fn security(mut self) -> Self {
        if let Ok(draft) = &mut self.draft {
            draft.is_security = true;
        }
        self
    }

    /// Puts the message into a conversation. Without it the message opens its own, or that of what it answers.
    pub fn activity<A>(mut self, activity: A) -> Self
    where
        A: TryInto<ActivityId>,
        Error: From<A::Error>,
    {
        self.draft = self.draft.and_then(|draft| draft.in_activity(activity));
        self
    }

    /// Sends the message once, however often this is called with the same key: later calls get the first one's id.
    /// Another message under the same key is [`Error::IdempotencyMismatch`].
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.draft = self.draft.map(|draft| draft.under_key(key));
        self
    }

    /// Sends the message and runs `callback` for each reply to it, until the relay's request timeout has passed. When
    /// that passes without any reply, the relay's events tell.
    pub fn on_reply<F, Fut>(self, callback: F) -> Replied<F>
    where
        F: Fn(Message, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Replied { sending: self, callback }
    }
}

impl IntoFuture for Sending {
    type Output = Result<MessageId, Error>;
    type IntoFuture = Ready<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        ready(self.draft.and_then(|draft| self.relay.send_draft(draft)).map(|sent| sent.id))
    }
}

/// A message about to be sent whose replies run a callback: await it.
#[must_use = "nothing is sent until this is awaited"]
pub struct Replied<F> {
    sending: Sending,
    callback: F,
}

impl<F, Fut> IntoFuture for Replied<F>
where
    F: Fn(Message, Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    type Output = Result<MessageId, Error>;
    type IntoFuture = Ready<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Sending { relay, draft } = self.sending;
        ready(draft.and_then(|draft| relay.send_with_callback(draft, self.callback)))
    }
}

impl Relay {
    /// Sends `name` with any serialisable payload; `()` and `null` mean none. Await the result, which is the message's
    /// id: the message then has its place in the outbox and goes out in the order of sending, retried for as long as
    /// the bus is away.
    ///
    /// Errors: [`Error::Name`], [`Error::Payload`], [`Error::Busy`], [`Error::Closed`]; with a bus in this process also
    /// [`Error::NoReceivers`] at once. Otherwise a message nobody receives becomes a dead letter and an event.
    pub fn send<N>(&self, name: N, payload: impl Serialize) -> Sending
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        Sending { relay: self.clone(), draft: Draft::of(name, &payload) }
    }

    /// Sends a draft; under an idempotency key only the first of equal ones.
    pub(crate) fn send_draft(&self, draft: Draft) -> Result<Sent, Error> {
        if draft.idempotency_key.is_none() {
            let message = self.compose(draft, None);
            let sent = Sent::of(&message);
            self.dispatch(message, None)?;
            return Ok(sent);
        }
        let call = self.call_for(&draft)?;
        call.send_once(|| self.dispatch(self.compose(draft, Some(call.id.clone())), None))?;
        Ok(Sent { id: call.id.clone(), activity_id: call.activity_id.clone() })
    }

    /// Sends a message that its service has composed itself: id, conversation and answered message stay, and the sender
    /// is this relay.
    pub(crate) fn forward(&self, mut message: Message) -> Result<(), Error> {
        message.sender = Some(self.role().clone());
        self.dispatch(message, None)
    }

    fn send_with_callback<F, Fut>(&self, draft: Draft, callback: F) -> Result<MessageId, Error>
    where
        F: Fn(Message, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let timeout = self.config().request_timeout();
        let mut replies = self.replies_to(draft, timeout)?;
        let (id, relay) = (replies.id().clone(), self.clone());
        self.spawn(async move {
            let mut answered = false;
            loop {
                match replies.next().await {
                    Some(Ok(reply)) => {
                        answered = true;
                        callback(reply.clone(), Context::new(relay.clone(), reply)).await;
                    }
                    Some(Err(error)) if !answered => relay.announce_error(error),
                    Some(Err(_)) | None => return,
                }
            }
        });
        Ok(id)
    }
}
