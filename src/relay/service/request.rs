//! Builder of a request.

use std::future::IntoFuture;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;

use super::Relay;
use crate::message::{ActivityId, Message, MessageName};
use crate::relay::Error;
use crate::relay::outgoing::{Draft, Replies};

/// A request to be made: await it for the first reply, or take [`Requesting::replies`] one by one.
#[must_use = "nothing is sent until this is awaited"]
pub struct Requesting {
    relay: Relay,
    draft: Result<Draft, Error>,
    timeout: Duration,
    last: Option<MessageName>,
    replies_max: Option<usize>,
}

impl Requesting {
    pub(super) fn new(relay: Relay, draft: Result<Draft, Error>) -> Self {
        let timeout = relay.config().request_timeout();
        Self { relay, draft, timeout, last: None, replies_max: None }
    }

    pub(super) fn following(mut self, cause: &Message) -> Self {
        self.draft = self.draft.map(|draft| draft.following(cause));
        self
    }

    /// Sets the time to wait in all. The default is `request_timeout_ms` of the relay.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes the request in `activity`.
    pub fn activity<A>(mut self, activity: A) -> Self
    where
        A: TryInto<ActivityId>,
        Error: From<A::Error>,
    {
        self.draft = self.draft.and_then(|draft| draft.in_activity(activity));
        self
    }

    /// Sets on whose behalf the request is made: any value, opaque to the bus.
    pub fn auth(mut self, auth: impl Serialize) -> Self {
        self.draft = self.draft.and_then(|draft| draft.on_behalf(&auth));
        self
    }

    /// Makes the request once, however often this is called with the same key: later calls return the first one's replies,
    /// also those that came when nobody waited. Each waits for its own timeout. A failure at the receiver
    /// ([`Error::Failed`]) is kept too. After [`Error::NoReply`] the next call goes on waiting; after any other error it
    /// makes the request again, under the same id, unless a reply has come. At most 64 replies are kept; after them the
    /// stream ends with [`Error::Busy`].
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.draft = self.draft.map(|draft| draft.under_key(key));
        self
    }

    /// Ends the stream of replies with the one of this name. Errors: [`Error::Name`], when the request is made.
    pub fn until(mut self, name: &str) -> Self {
        match MessageName::parse(name) {
            Ok(name) => self.last = Some(name),
            Err(error) => self.draft = self.draft.and(Err(error.into())),
        }
        self
    }

    /// Ends the stream of replies after this number.
    pub fn at_most(mut self, replies: usize) -> Self {
        self.replies_max = Some(replies);
        self
    }

    /// Sends the request and returns the stream of its replies. Errors: those of [`Relay::send`] that are known at once;
    /// others are the first item of the stream.
    pub fn replies(self) -> Result<Replies, Error> {
        let replies = self.relay.0.outgoing.replies(self.draft?, self.timeout)?;
        Ok(replies.until(self.last).at_most(self.replies_max))
    }
}

impl IntoFuture for Requesting {
    type Output = Result<Message, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move { self.relay.request_draft(self.draft?, self.timeout).await }.boxed()
    }
}
