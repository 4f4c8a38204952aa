//! Builder of a message whose replies run a callback.

use std::future::{Future, IntoFuture};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::context::Context;
use super::send::Sending;
use crate::message::{Message, MessageId};
use crate::relay::Error;

impl Sending {
    /// Sends the message and runs `callback` for each reply to it, until the request timeout of the relay has passed. If
    /// there was no reply by then, the events of the relay report it.
    pub fn on_reply<F, Fut>(self, callback: F) -> Replied<F>
    where
        F: Fn(Message, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Replied { sending: self, callback }
    }
}

/// A message to be sent whose replies run a callback: await it for the id. The future completes when the message is
/// accepted. Dropping it before that drops the callback too, though the message may be sent.
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
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let (callback, (relay, draft)) = (self.callback, self.sending.into_parts());
        async move {
            let mut replies = relay.0.outgoing.replies(draft?, relay.config().request_timeout())?;
            replies.accepted().await?;
            let id = replies.id().clone();
            let caller = relay.clone();
            relay.spawn(async move {
                let mut answered = false;
                loop {
                    match replies.next().await {
                        Some(Ok(reply)) => {
                            answered = true;
                            callback(reply.clone(), Context::new(caller.clone(), reply)).await;
                        }
                        Some(Err(error)) if !answered => caller.emit_error(error),
                        Some(Err(_)) | None => return,
                    }
                }
            });
            Ok(id)
        }
        .boxed()
    }
}
