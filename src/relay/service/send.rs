//! Builder of a message to be sent.

use std::future::IntoFuture;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;

use super::Relay;
use crate::message::{ActivityId, Message, MessageId};
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
    /// A different message under the same key is an [`Error::IdempotencyMismatch`].
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.draft = self.draft.map(|draft| draft.under_key(key));
        self
    }

    pub(super) fn into_parts(self) -> (Relay, Result<Draft, Error>) {
        (self.relay, self.draft)
    }
}

impl IntoFuture for Sending {
    type Output = Result<MessageId, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move { Ok(self.relay.send_draft(self.draft?).await?.id) }.boxed()
    }
}
