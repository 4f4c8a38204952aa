//! Webhook errors.

use std::time::Duration;

use super::wire::{AnswerError, SecretError};
use crate::chain::chain;
use crate::http::ClientError;
use crate::relay::Cause;
use crate::{message, relay};

/// Reason why a webhook cannot start or a message was not handled; for the latter, its text becomes the reason of the
/// dead letter.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configured URL is not a base URL.
    #[error("webhook.forward: {0}; expected the service's base URL, such as \"http://localhost:3000\"")]
    Forward(ClientError),
    /// The signing secret does not have the form that Standard Webhooks defines.
    #[error("webhook.secret: {0}; expected \"whsec_\" followed by 24 to 64 bytes in base64")]
    Secret(#[from] SecretError),
    /// The message name does not form a valid URL.
    #[error("the message name does not form a valid URL: {0}")]
    Url(ClientError),
    /// The service refused the message.
    #[error("the service refused the message with {status}: {body}")]
    Refused {
        /// Status of the answer.
        status: u16,
        /// First 200 bytes of the answer.
        body: String,
    },
    /// The service answered with a redirect. The relay never follows one, since it could lead into a private network.
    #[error("the service answered with redirect {status} to {location:?}; redirects are never followed")]
    Redirected {
        /// Status of the answer.
        status: u16,
        /// Redirect target, cut after 200 bytes.
        location: String,
    },
    /// The service handled the message, but its answer is not a valid reply.
    #[error("the service handled the message, but its reply cannot be sent: {0}")]
    Answer(#[from] AnswerError),
    /// The service handled the message, but its answer is over the size limit.
    #[error("the service handled the message, but its reply cannot be read: {0}")]
    AnswerTooLarge(ClientError),
    /// The service handled the message, but the relay did not accept the reply.
    #[error("the service handled the message, but its reply {name} was not sent: {}", chain(cause))]
    Unsent {
        /// Name of the reply.
        name: message::MessageName,
        /// Error of the relay.
        cause: relay::Error,
    },
    /// The message was not delivered within its deadline.
    #[error("gave up after {attempts} attempts in {} ms: {last}", elapsed.as_millis())]
    GaveUp {
        /// Number of calls to the service.
        attempts: u32,
        /// Time since the first attempt, waits included.
        elapsed: Duration,
        /// Cause of the last failure, or the reason why there was no call.
        last: String,
    },
}

impl Error {
    /// Returns the cause of the dead letter, for counting.
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Refused { .. } | Self::Redirected { .. } => Cause::ServiceRefused,
            Self::GaveUp { .. } => Cause::ServiceAway,
            Self::Answer(_) | Self::AnswerTooLarge(_) | Self::Unsent { .. } => Cause::ReplyInvalid,
            Self::Forward(_) | Self::Secret(_) | Self::Url(_) => Cause::Other,
        }
    }
}
