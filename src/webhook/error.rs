//! Why a webhook cannot start, and why a message was not handled.

use std::time::Duration;

use super::wire::{AnswerError, SecretError};
use crate::http::ClientError;
use crate::{message, relay};

/// Why a webhook cannot start, or why a message was not handled; the text of the latter is the reason of its dead letter.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service's address is no base URL.
    #[error("webhook.forward: {0}; expected the service's base URL, such as \"http://localhost:3000\"")]
    Forward(ClientError),
    /// The signing secret is not one of Standard Webhooks.
    #[error("webhook.secret: {0}; expected \"whsec_\" and 24 to 64 bytes in base64")]
    Secret(#[from] SecretError),
    /// The message's name makes a URL that cannot be called.
    #[error("the service cannot be called for this name: {0}")]
    Url(ClientError),
    /// The service does not want the message.
    #[error("the service refused it with {status}: {body}")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// The first 200 bytes of the answer.
        body: String,
    },
    /// The service sends the relay elsewhere, which it never follows: elsewhere may be inside our own network.
    #[error("the service answered with the redirect {status} to {location:?}, and redirects are never followed")]
    Redirected {
        /// The status of the answer.
        status: u16,
        /// Where the service points, cut after 200 bytes.
        location: String,
    },
    /// The service handled the message; what it answered cannot be sent as a reply.
    #[error("the service handled it, but its reply cannot be sent: {0}")]
    Answer(#[from] AnswerError),
    /// The service handled the message; its answer is longer than what is read.
    #[error("the service handled it, but its reply cannot be read: {0}")]
    AnswerTooLarge(ClientError),
    /// The service handled the message; the bus does not take the reply.
    #[error("the service handled it, but its reply {name} was not sent: {cause}")]
    Unsent {
        /// The reply's name.
        name: message::MessageName,
        /// What the relay says.
        cause: relay::Error,
    },
    /// Time is up.
    #[error("gave up after {tries} tries in {} ms: {last}", elapsed.as_millis())]
    GaveUp {
        /// How often the service was called.
        tries: u32,
        /// How long that took, waits included.
        elapsed: Duration,
        /// Why the last try failed, or why there was none.
        last: String,
    },
}
