//! What a handler is given besides the message, and what it may answer.

use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;

use super::{Draft, Error, Relay, Sending};
use crate::message::{Message, MessageId, MessageName, Payload};

/// What a failing handler returns: any error. Its text becomes the reason of a dead letter.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// A handler as the relay keeps it; made by [`handler`].
pub type Handler = Arc<dyn Fn(Message, Context) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync>;

/// Turns an async closure into a [`Handler`], for tables of them: see [`Relay::on_many`].
pub fn handler<F, Fut>(run: F) -> Handler
where
    F: Fn(Message, Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    Arc::new(move |message, context| run(message, context).boxed())
}

/// The message being handled, seen from the relay that handles it. Cheap to clone, and usable after the handler ended.
#[derive(Clone)]
pub struct Context {
    relay: Relay,
    message: Message,
}

impl Context {
    pub(crate) fn new(relay: Relay, message: Message) -> Self {
        Self { relay, message }
    }

    /// Answers the message, in its conversation and on the same behalf. May be called any number of times, at any later time: whoever waits
    /// gets each reply, in this order.
    pub fn reply<N>(&self, name: N, payload: impl Serialize) -> Sending
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        self.relay.send(name, payload).answering(&self.message)
    }

    /// Answers the message with a payload that is JSON text already, as [`Context::reply`] does otherwise. The text is not
    /// rebuilt. Answers the reply's id. Errors: as [`Relay::send`]; after [`Error::Busy`] nothing was sent.
    pub(crate) fn reply_payload(&self, name: MessageName, payload: Option<Payload>) -> Result<MessageId, Error> {
        Ok(self.relay.send_draft(Draft::new(name, payload).answering(&self.message))?.id)
    }

    /// Sends a message of its own conversation, as [`Relay::send`] does; the handled message's `auth` does not go with it.
    pub fn send<N>(&self, name: N, payload: impl Serialize) -> Sending
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        self.relay.send(name, payload)
    }

    /// The relay that handles the message.
    pub fn relay(&self) -> &Relay {
        &self.relay
    }
}
