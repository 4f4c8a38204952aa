//! Errors of sending, receiving and handling messages.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::rules::Cause;
use crate::chain::chain;
use crate::message::{ActivityId, MessageId, MessageName, OutOfBounds, Payload, PayloadError, Role, TextError};
use crate::{bus, http};

/// Error of the relay. Cheap to clone, since events carry it too.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name is empty, too long, or contains control characters.
    #[error("cannot send this message: {0}; give it a name such as \"users.create\"")]
    Name(TextError),
    /// The payload cannot be written as JSON.
    #[error("cannot send {name}: its payload cannot be written as JSON")]
    Payload {
        /// Name of the message.
        name: MessageName,
        /// Error of the serialiser.
        #[source]
        cause: PayloadError,
    },
    /// The payload is larger than any bus accepts, `http.body_bytes_max` in the configuration.
    #[error("the payload has {bytes} bytes, at most {bytes_max} are allowed (http.body_bytes_max)")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// Maximum size in bytes.
        bytes_max: usize,
    },
    /// The value on whose behalf the message is sent is too large.
    #[error("auth has {bytes} bytes, at most {bytes_max} are allowed")]
    AuthTooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// Maximum size in bytes.
        bytes_max: usize,
    },
    /// The name already has a handler.
    #[error("there is already a handler for message '{0}': a name has one handler, give the second one another name")]
    HandlerExists(MessageName),
    /// A queue or table is full. Nothing was sent; try again later.
    #[error("{what} is full{}: try again in {} ms", limit(*places), retry_after.as_millis())]
    Busy {
        /// The queue or table.
        what: &'static str,
        /// Its capacity; 0 if unknown.
        places: usize,
        /// Time to wait before the next attempt.
        retry_after: Duration,
    },
    /// No service on the bus receives messages of this name.
    #[error("no service receives '{0}': check the name, and that its service is registered")]
    NoReceivers(MessageName),
    /// No reply came in time.
    #[error("no reply to {name} within {} ms", timeout.as_millis())]
    NoReply {
        /// Name of the request.
        name: MessageName,
        /// The timeout.
        timeout: Duration,
    },
    /// No message of the activity came in time.
    #[error("did not receive a reply for '{activity}' after {}", humantime::format_duration(*timeout))]
    NothingInActivity {
        /// The activity.
        activity: ActivityId,
        /// The timeout.
        timeout: Duration,
    },
    /// The broker accepted the message and could not deliver it.
    #[error("{name} could not be delivered: {reason}")]
    Undeliverable {
        /// Name of the message.
        name: MessageName,
        /// Reason given by the broker.
        reason: String,
    },
    /// The service that received the request could not handle it, so there will be no reply.
    #[error("'{role}' could not handle {name}: {reason}")]
    Failed {
        /// Name of the request.
        name: MessageName,
        /// Role of the service.
        role: Role,
        /// Reason that the service gave.
        reason: String,
        /// Value that the service returned with the failure, if any.
        payload: Option<Payload>,
    },
    /// The bus does not accept the message.
    #[error("the bus refused {name}: {detail}")]
    Refused {
        /// Name of the message.
        name: MessageName,
        /// Reason given by the bus.
        detail: String,
    },
    /// The idempotency key was used for a different message.
    #[error("the idempotency key {key:?} was used for another message: use a new key for a new message")]
    IdempotencyMismatch {
        /// The key.
        key: String,
    },
    /// The relay is closed or closing.
    #[error("the relay is closed")]
    Closed,
    /// A handler failed; its message is now a dead letter.
    #[error("the handler of {name} failed on message {id}: {reason}")]
    HandlerFailed {
        /// Name of the message.
        name: MessageName,
        /// Id of the message.
        id: MessageId,
        /// Error of the handler.
        reason: String,
    },
    /// The service behind the webhook fails. Its messages wait until it is called again.
    #[error("the service at {url} is not responding: {cause}")]
    ServiceAway {
        /// Host and port.
        url: String,
        /// Failure of the last call.
        cause: String,
    },
    /// Something received over the bus was not accepted, and there is no way to answer its sender: an invalid frame, or a
    /// message that no handler takes.
    #[error("{0}")]
    Incoming(String),
    /// The bus cannot be reached, or refuses the registration.
    #[error(transparent)]
    Bus(#[from] bus::Error),
    /// A listener could not be opened.
    #[error(transparent)]
    Listen(Arc<http::BindError>),
    /// A setting of the builder is missing or invalid.
    #[error("{setting}: {problem}")]
    Setting {
        /// Method of the builder, as written in code.
        setting: &'static str,
        /// Problem with its value.
        problem: String,
    },
}

impl Error {
    /// Returns the cause of the dead letter of a message that was not sent, for counting.
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::NoReceivers(_) => Cause::NoReceivers,
            Self::Refused { .. } => Cause::BusRefused,
            Self::Undeliverable { .. } => Cause::Undelivered,
            Self::Busy { .. } => Cause::ReceiverBusy,
            _ => Cause::Other,
        }
    }
}

fn limit(places: usize) -> String {
    match places {
        0 => String::new(),
        places => format!(" (limit {places})"),
    }
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

impl From<OutOfBounds> for Error {
    fn from(error: OutOfBounds) -> Self {
        match error {
            OutOfBounds::Payload { bytes, bytes_max } => Self::TooLarge { bytes, bytes_max },
            OutOfBounds::Auth { bytes, bytes_max } => Self::AuthTooLarge { bytes, bytes_max },
            OutOfBounds::Name(error) => Self::Name(error),
        }
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
            Error::TooLarge { .. } => Kind::BodyTooLarge,
            Error::AuthTooLarge { .. } => Kind::InvalidRequest,
            Error::Busy { .. } => Kind::Busy,
            Error::NoReceivers(_) => Kind::NoReceivers,
            Error::NoReply { .. } | Error::NothingInActivity { .. } => Kind::NoReply,
            Error::Undeliverable { .. } => Kind::Undeliverable,
            Error::Failed { .. } => Kind::Failed,
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
        let problem = Self::new(kind, chain(&error));
        match error {
            Error::Busy { retry_after, .. } => problem.retry_after(retry_after),
            Error::Closed | Error::Bus(_) => problem.retry_after(Duration::from_secs(1)),
            Error::Failed { name, role, reason, payload } => {
                let problem = problem.member("name", &name.as_str()).member("role", &role.as_str());
                let problem = problem.member("reason", &reason);
                payload.into_iter().fold(problem, |problem, payload| problem.member("payload", &payload))
            }
            Error::Undeliverable { name, reason } => problem.member("name", &name.as_str()).member("reason", &reason),
            _ => problem,
        }
    }
}
