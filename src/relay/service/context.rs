//! The context of a handler.

use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;

use super::{Relay, Requesting, Sending};
use crate::message::{Message, MessageId, MessageName, Payload};
use crate::relay::Error;
use crate::relay::outgoing::Draft;

/// Error of a handler: any error. Its text becomes the reason of the dead letter.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// A handler as the relay stores it. Made by [`handler`].
pub type Handler = Arc<dyn Fn(Message, Context) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync>;

/// Turns an async closure into a [`Handler`], for tables of handlers: see [`Relay::on_many`].
pub fn handler<F, Fut>(run: F) -> Handler
where
    F: Fn(Message, Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    Arc::new(move |message, context| run(message, context).boxed())
}

/// A received message, and the relay that received it. Cheap to clone; may be kept after the handler has returned.
#[derive(Clone)]
pub struct Context {
    relay: Relay,
    message: Message,
}

impl Context {
    pub(super) fn new(relay: Relay, message: Message) -> Self {
        Self { relay, message }
    }

    /// Replies to the message, in its activity and with its `auth`. May be called any number of times and at any time;
    /// the requester receives the replies in this order.
    pub fn reply<N>(&self, name: N, payload: impl Serialize) -> Sending
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        self.relay.send(name, payload).answering(&self.message)
    }

    /// Replies like [`Context::reply`], with a payload that is JSON already and stays unchanged. Returns the id of the
    /// reply. Errors: those of [`Relay::send`]; after [`Error::Busy`] nothing was sent.
    pub(crate) async fn reply_payload(&self, name: MessageName, payload: Option<Payload>) -> Result<MessageId, Error> {
        Ok(self.relay.send_draft(Draft::new(name, payload).answering(&self.message)).await?.id)
    }

    /// Fails the message on purpose: its requester gets [`Error::Failed`] with this payload at once, as reason the payload if
    /// that is a text. Does nothing if nobody waits for a reply. The message counts as handled when the handler returns `Ok`:
    /// unlike an error of the handler, this makes no dead letter.
    ///
    /// Errors: [`Error::Payload`], [`Error::Closed`]. Cancel-safe: it does not wait.
    pub async fn fail(&self, payload: impl Serialize) -> Result<(), Error> {
        let name = || self.message.name.clone();
        let payload = Payload::of(&payload).map_err(|cause| Error::Payload { name: name(), cause })?;
        let text = payload.to::<String>().ok();
        let reason = text.as_deref().unwrap_or("the service says that it cannot handle it");
        let payload = Some(payload).filter(|payload| !payload.is_null());
        self.relay.0.outgoing.report_failure(&self.message, reason, payload)
    }

    /// Sends a message in an activity of its own, like [`Relay::send`], and without the `auth` of the received message. It
    /// counts as one more hop, which bounds loops.
    pub fn send<N>(&self, name: N, payload: impl Serialize) -> Sending
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        self.relay.send(name, payload).led_to_by(&self.message)
    }

    /// Makes a request like [`Relay::request`], but in the activity and trace of the received message and with its `auth`.
    pub fn request<N>(&self, name: N, payload: impl Serialize) -> Requesting
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        self.relay.request(name, payload).following(&self.message)
    }

    /// The relay that received the message. What is sent with it has nothing to do with the message.
    pub fn relay(&self) -> &Relay {
        &self.relay
    }
}
