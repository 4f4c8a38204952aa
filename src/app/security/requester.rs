//! Asking other services while a message is being judged.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::message::{self, ActivityId, Message, MessageId, MessageName, PayloadError};
use crate::relay::{self, Relay};

/// What the security service asks through the broker, and how it hears of the answer. exo 3.6.
const REQUEST: &str = "security request";
const RESPONSE: &str = "security response";

/// Why a question to another service has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The question could not be sent, or nobody answered in time.
    #[error("{0}")]
    Relay(#[from] relay::Error),
    /// Something else than `security response` came.
    #[error("'{asked}' was asked, and the unexpected answer is '{got}' instead of 'security response'")]
    Unexpected {
        /// What was asked.
        asked: MessageName,
        /// What came.
        got: MessageName,
    },
    /// A `security response` came that holds no message.
    #[error("'{asked}' was asked, and the answer holds no message: {cause}")]
    NoMessage {
        /// What was asked.
        asked: MessageName,
        /// What is wrong with it.
        cause: message::Error,
    },
}

/// Asks other services on the way to one decision. Cheap to clone.
#[derive(Clone)]
pub struct Requester {
    relay: Relay,
    /// The conversation in which the message is judged.
    activity: ActivityId,
    /// Answers are found by that conversation, so there is one question at a time.
    turn: Arc<Mutex<()>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    name: &'a MessageName,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    activity_id: &'a MessageId,
    id: &'a MessageId,
}

impl Requester {
    pub(super) fn new(relay: Relay, activity: ActivityId) -> Self {
        Self { relay, activity, turn: Arc::default() }
    }

    /// Sends `name` to whoever receives it, past the judging of messages, and gives the first message that comes back in
    /// its conversation, of whatever name. May be called any number of times; calls at the same time take turns, and
    /// waiting for its turn counts towards `timeout`. `()` and `null` as payload mean none.
    ///
    /// Errors: [`Error::Relay`] with [`relay::Error::NoReply`] when `timeout` is over and with those of
    /// [`Relay::send`]; [`Error::Unexpected`], [`Error::NoMessage`]. Dropping the future forgets the question.
    pub async fn request<N>(&self, name: N, payload: impl Serialize, timeout: Duration) -> Result<Message, Error>
    where
        N: TryInto<MessageName>,
        relay::Error: From<N::Error>,
    {
        let name = name.try_into().map_err(relay::Error::from)?;
        let payload = serde_json::value::to_raw_value(&payload).map_err(|cause| relay::Error::Payload {
            name: name.clone(),
            cause: PayloadError::not_serializable(cause),
        })?;
        let deadline = Instant::now() + timeout;
        let late = || relay::Error::NoReply { name: name.clone(), timeout };
        let asking = async {
            let _turn = self.turn.lock().await;
            self.ask(&name, Some(payload).filter(|payload| payload.get() != "null"), deadline).await
        };
        match tokio::time::timeout_at(deadline, asking).await {
            Ok(Err(Error::Relay(relay::Error::NoReply { .. } | relay::Error::NothingInActivity { .. }))) | Err(_) => {
                Err(late().into())
            }
            Ok(outcome) => outcome,
        }
    }

    async fn ask(
        &self,
        name: &MessageName,
        payload: Option<Box<RawValue>>,
        deadline: Instant,
    ) -> Result<Message, Error> {
        let (id, activity_id) = (&fresh(), &fresh());
        let question = Question { name, payload, activity_id, id };
        let left = || deadline.saturating_duration_since(Instant::now());
        let watch = || self.relay.wait_for_activity(self.activity.as_str(), left()).into_future();
        let mut watched = watch();
        let asking = self.relay.request(REQUEST, question).activity(self.activity.as_str()).timeout(left());
        let mut answers = asking.replies()?;
        loop {
            let answer = tokio::select! {
                biased;
                answer = answers.next() => answer.unwrap_or(Err(relay::Error::Closed))?,
                // A broker need not say what a message answers, and then only the activity tells.
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
            // An answer to an earlier question of this decision, which is over by now, is none to this one.
            if inner.activity_id.as_ref().is_none_or(|activity| activity.as_str() == activity_id.as_str()) {
                return Ok(inner);
            }
        }
    }
}

fn fresh() -> MessageId {
    MessageId::from_uuid(Uuid::now_v7())
}

/// The message that is the payload of another one.
pub(super) fn inner(message: &Message) -> Result<Message, message::Error> {
    let nothing = || bytes::Bytes::from_static(b"null");
    let payload = message.payload.as_ref().map_or_else(nothing, |payload| payload.as_bytes().clone());
    Message::from_json(None, &payload)
}
