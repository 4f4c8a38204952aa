//! What can go wrong when a message is sent, awaited or handled.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use crate::message::{ActivityId, MessageId, MessageName, PayloadError, TextError};
use crate::{bus, http};

/// Why the relay could not do what it was asked. Cheap to clone, since events carry it too.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name is empty, too long, or holds control characters.
    #[error("cannot send this message: {0}; give it a name such as \"users.create\"")]
    Name(TextError),
    /// The payload cannot be written as JSON.
    #[error("cannot send {name}: its payload cannot be written as JSON: {cause}")]
    Payload {
        /// The message's name.
        name: MessageName,
        /// What the value said.
        cause: PayloadError,
    },
    /// There is a handler for this name already.
    #[error("there is already a handler for message '{0}': a name has one handler, give the second one another name")]
    HandlerExists(MessageName),
    /// The outbox is full or too many requests wait. Nothing was sent; try again later.
    #[error("{what} is full ({places} places): the bus is away or slow, try again in {} ms", retry_after.as_millis())]
    Busy {
        /// Which bound was reached.
        what: &'static str,
        /// How many places it has.
        places: usize,
        /// When a new try makes sense.
        retry_after: Duration,
    },
    /// Nobody on the bus receives messages of this name.
    #[error("no service receives '{0}': check the name, and that its service is registered")]
    NoReceivers(MessageName),
    /// Nobody answered in time.
    #[error("no reply to {name} within {} ms", timeout.as_millis())]
    NoReply {
        /// The request's name.
        name: MessageName,
        /// How long was waited.
        timeout: Duration,
    },
    /// No message of the activity came in time.
    #[error("did not receive a reply for '{activity}' after {}", humantime::format_duration(*timeout))]
    NothingInActivity {
        /// The activity.
        activity: ActivityId,
        /// How long was waited.
        timeout: Duration,
    },
    /// The broker accepted the message and could not deliver it.
    #[error("{name} could not be delivered: {reason}")]
    Undeliverable {
        /// The message's name.
        name: MessageName,
        /// The broker's words.
        reason: String,
    },
    /// The bus does not take the message.
    #[error("the bus refused {name}: {detail}")]
    Refused {
        /// The message's name.
        name: MessageName,
        /// The bus's words.
        detail: String,
    },
    /// The idempotency key was used for another message.
    #[error("the idempotency key {key:?} was used for another message: use a new key for a new message")]
    IdempotencyMismatch {
        /// The key.
        key: String,
    },
    /// The relay is closed or closing.
    #[error("the relay is closed")]
    Closed,
    /// A handler failed; its message is among the dead letters.
    #[error("the handler of {name} failed on message {id}: {reason}")]
    HandlerFailed {
        /// The message's name.
        name: MessageName,
        /// The message's id.
        id: MessageId,
        /// The handler's own words.
        reason: String,
    },
    /// The service behind the webhook fails. Calls to it are held back, and its messages wait.
    #[error("the service at {url} fails: {cause}")]
    ServiceAway {
        /// Host and port.
        url: String,
        /// How its last call failed.
        cause: String,
    },
    /// Something came over the bus that could not be taken, and its sender could not be told: a frame that makes no sense,
    /// or a message that nobody takes.
    #[error("{0}")]
    Incoming(String),
    /// The bus cannot be reached, or does not take the registration.
    #[error("{0}")]
    Bus(#[from] bus::Error),
    /// A listener could not be opened.
    #[error("{0}")]
    Listen(Arc<http::BindError>),
    /// A setting of the builder is missing or wrong.
    #[error("{setting}: {problem}")]
    Setting {
        /// The builder's method, as written in code.
        setting: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
}

impl From<TextError> for Error {
    fn from(error: TextError) -> Self {
        Self::Name(error)
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<http::BindError> for Error {
    fn from(error: http::BindError) -> Self {
        Self::Listen(Arc::new(error))
    }
}

impl From<Error> for http::Problem {
    fn from(error: Error) -> Self {
        use http::Kind;
        let kind = match &error {
            Error::Name(_) | Error::Payload { .. } => Kind::InvalidMessage,
            Error::Busy { .. } => Kind::Busy,
            Error::NoReceivers(_) => Kind::NoReceivers,
            Error::NoReply { .. } | Error::NothingInActivity { .. } => Kind::NoReply,
            Error::Undeliverable { .. } => Kind::Undeliverable,
            Error::Refused { .. } => Kind::Refused,
            Error::IdempotencyMismatch { .. } => Kind::IdempotencyMismatch,
            Error::Closed => Kind::Draining,
            Error::Bus(_) => Kind::Busy,
            Error::HandlerExists(_)
            | Error::HandlerFailed { .. }
            | Error::Incoming(_)
            | Error::ServiceAway { .. }
            | Error::Listen(_)
            | Error::Setting { .. } => Kind::Internal,
        };
        let problem = Self::new(kind, &error);
        match error {
            Error::Busy { retry_after, .. } => problem.retry_after(retry_after),
            Error::Closed | Error::Bus(_) => problem.retry_after(Duration::from_secs(1)),
            _ => problem,
        }
    }
}
