//! Builder of a message whose replies run a callback.

use std::future::{Future, IntoFuture};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Relay;
use super::context::Context;
use super::send::Sending;
use crate::message::{Message, MessageId, MessageName};
use crate::relay::Error;
use crate::relay::outgoing::Replies;
use crate::relay::panics::panic_text;

impl Sending {
    /// Sends the message and runs `callback` for the first reply to it; for more of them, see [`Replied::until`] and
    /// [`Replied::at_most`]. A failure is an event of the relay, as is a callback that panics: [`Error::NoReply`] if there
    /// was no reply in time, and the errors of [`Relay::request`].
    ///
    /// Under an [idempotency key](Sending::idempotency_key) the message is sent once, and each callback gets the replies
    /// to it.
    pub fn on_reply<F, Fut>(self, callback: F) -> Replied<F>
    where
        F: Fn(Message, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Replied { sending: self, callback, timeout: None, last: Ok(None), replies_max: None }
    }
}

/// A message to be sent whose replies run a callback: await it for the id. The future completes when the message is
/// accepted. Dropping it before that drops the callback too, though the message may be sent.
#[must_use = "nothing is sent until this is awaited"]
pub struct Replied<F> {
    sending: Sending,
    callback: F,
    timeout: Option<Duration>,
    last: Result<Option<MessageName>, Error>,
    replies_max: Option<usize>,
}

impl<F> Replied<F> {
    /// Runs the callback for each reply up to the one of this name. Errors: [`Error::Name`], when this is awaited.
    pub fn until(mut self, name: &str) -> Self {
        self.last = MessageName::parse(name).map(Some).map_err(Error::from);
        self
    }

    /// Runs the callback for this number of replies at most. The default is one, or any number [until](Replied::until) the
    /// last.
    pub fn at_most(mut self, replies: usize) -> Self {
        self.replies_max = Some(replies);
        self
    }

    /// Sets the time to wait in all. The default is `request_timeout_ms` of the relay.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<F, Fut> IntoFuture for Replied<F>
where
    F: Fn(Message, Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    type Output = Result<MessageId, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { sending, callback, timeout, last, replies_max } = self;
        let (relay, draft) = sending.into_parts();
        async move {
            let (draft, last) = (draft?, last?);
            let replies_max = if last.is_none() { Some(replies_max.unwrap_or(1)) } else { replies_max };
            let timeout = timeout.unwrap_or_else(|| relay.config().request_timeout());
            let has_last = last.is_some();
            let mut replies = relay.0.outgoing.replies(draft, timeout)?.until(last).at_most(replies_max);
            replies.accepted().await?;
            let id = replies.id().clone();
            let caller = relay.clone();
            relay.spawn(async move { run(&caller, replies, callback, has_last).await });
            Ok(id)
        }
        .boxed()
    }
}

/// Runs the callback for each reply. With a reply, only a missing last one is worth a report at the end of the time.
async fn run<F, Fut>(relay: &Relay, mut replies: Replies, callback: F, has_last: bool)
where
    F: Fn(Message, Context) -> Fut,
    Fut: Future<Output = ()>,
{
    let mut answered = false;
    while let Some(outcome) = replies.next().await {
        match outcome {
            Ok(reply) => {
                answered = true;
                let (name, id) = (reply.name.clone(), reply.id.clone());
                let context = Context::new(relay.clone(), reply.clone());
                // The call itself may panic too, before it returns a future.
                let running = AssertUnwindSafe(async { callback(reply, context).await });
                if let Err(panic) = running.catch_unwind().await {
                    let reason = format!("the callback for its replies panicked: {}", panic_text(&*panic));
                    tracing::error!(message_id = %id, %name, reason, "a callback panicked");
                    relay.emit_error(Error::HandlerFailed { name, id, reason });
                }
            }
            Err(Error::NoReply { .. }) if answered && !has_last => {}
            Err(error) => relay.emit_error(error),
        }
    }
}
