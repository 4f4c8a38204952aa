//! Requests to other services while a message is being authorized.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::message::{self, ActivityId, Message, MessageId, MessageName, Payload};
use crate::relay::{self, Relay};
use crate::time::deadline_in;

/// The envelope messages for requests of the security service and their replies. exo 3.6.
const REQUEST: &str = "security request";
const RESPONSE: &str = "security response";

/// An error of a request to another service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request could not be sent, or there was no reply in time.
    #[error(transparent)]
    Relay(#[from] relay::Error),
    /// The reply is not a `security response`.
    #[error("unexpected reply '{got}' to '{asked}': expected 'security response'")]
    Unexpected {
        /// The name of the request.
        asked: MessageName,
        /// The name of the reply.
        got: MessageName,
    },
    /// The `security response` holds no message.
    #[error("the reply to '{asked}' holds no message: {cause}")]
    NoMessage {
        /// The name of the request.
        asked: MessageName,
        /// The reason.
        cause: message::Error,
    },
}

/// Sends requests to other services during one decision. Cheap to clone.
#[derive(Clone)]
pub struct Requester {
    relay: Relay,
    /// The activity of the authorization request.
    activity: ActivityId,
    /// Held during a request, because replies are matched by that activity alone.
    one_at_a_time: Arc<Mutex<()>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InnerRequest<'a> {
    name: &'a MessageName,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload>,
    activity_id: &'a MessageId,
    id: &'a MessageId,
}

impl Requester {
    pub(super) fn new(relay: Relay, activity: ActivityId) -> Self {
        Self { relay, activity, one_at_a_time: Arc::default() }
    }

    /// Sends `name` without authorization and returns the first message that comes back in its conversation, of any name.
    /// May be called any number of times. Concurrent calls run one after the other, and that wait counts towards `timeout`.
    /// The payloads `()` and `null` mean none.
    ///
    /// Errors: [`Error::Relay`] with [`relay::Error::NoReply`] after `timeout`, and with the errors of [`Relay::send`];
    /// [`Error::Unexpected`], [`Error::NoMessage`]. Cancel-safe: a reply after that is ignored.
    pub async fn request<N>(&self, name: N, payload: impl Serialize, timeout: Duration) -> Result<Message, Error>
    where
        N: TryInto<MessageName>,
        relay::Error: From<N::Error>,
    {
        let name = name.try_into().map_err(relay::Error::from)?;
        let payload = Payload::of(&payload).map_err(|cause| relay::Error::Payload { name: name.clone(), cause })?;
        let deadline = deadline_in(timeout);
        let late = || relay::Error::NoReply { name: name.clone(), timeout };
        let asking = async {
            let _guard = self.one_at_a_time.lock().await;
            self.ask(&name, Some(payload).filter(|payload| !payload.is_null()), deadline).await
        };
        match tokio::time::timeout_at(deadline, asking).await {
            Ok(Err(Error::Relay(relay::Error::NoReply { .. } | relay::Error::NothingInActivity { .. }))) | Err(_) => {
                Err(late().into())
            }
            Ok(outcome) => outcome,
        }
    }

    async fn ask(&self, name: &MessageName, payload: Option<Payload>, deadline: Instant) -> Result<Message, Error> {
        let (id, activity_id) = (&fresh(), &fresh());
        let request = InnerRequest { name, payload, activity_id, id };
        let left = || deadline.saturating_duration_since(Instant::now());
        let watch = || self.relay.wait_for_activity(self.activity.as_str(), left()).into_future();
        let mut watched = watch();
        let asking = self.relay.request(REQUEST, request).activity(self.activity.as_str()).timeout(left());
        let mut answers = asking.replies()?;
        loop {
            let answer = tokio::select! {
                biased;
                answer = answers.next() => answer.unwrap_or(Err(relay::Error::Closed))?,
                // A broker may omit `responseTo`; then the reply is found by its activity.
                seen = &mut watched => {
                    watched = watch();
                    let seen = seen?;
                    if seen.response_to.is_some() {
                        continue;
                    }
                    seen
                }
            };
            if answer.name.as_str() != RESPONSE {
                return Err(Error::Unexpected { asked: name.clone(), got: answer.name });
            }
            let inner = inner(&answer).map_err(|cause| Error::NoMessage { asked: name.clone(), cause })?;
            // Skips late replies to earlier requests of this decision.
            if inner.activity_id.as_ref().is_none_or(|activity| activity.as_str() == activity_id.as_str()) {
                return Ok(inner);
            }
        }
    }
}

fn fresh() -> MessageId {
    MessageId::from_uuid(Uuid::now_v7())
}

/// Returns the message inside another message's payload.
pub(super) fn inner(message: &Message) -> Result<Message, message::Error> {
    let nothing = || bytes::Bytes::from_static(b"null");
    let payload = message.payload.as_ref().map_or_else(nothing, |payload| payload.as_bytes().clone());
    Message::from_json(None, &payload)
}
