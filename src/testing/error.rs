//! Errors of a mock broker.

use std::time::Duration;

use crate::http::{BindError, ClientError};
use crate::message::{MessageName, PayloadError, Role, TextError};

/// A failed call of a mock broker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No port is free.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// A role, name or id is empty, too long, or contains control characters.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A payload or an `auth` cannot be written as JSON.
    #[error("cannot send {name}: {field} cannot be written as JSON: {cause}")]
    Payload {
        /// The message's name.
        name: MessageName,
        /// The field that holds the value.
        field: &'static str,
        /// The serialization error.
        cause: PayloadError,
    },
    /// The address of a service is neither `HOST:PORT` nor an `http` URL.
    #[error("{address:?} is not the address of a service: expected HOST:PORT such as 127.0.0.1:3001")]
    Address {
        /// The text given.
        address: String,
    },
    /// No service of this role is connected or registered. The wording is the original's. exo 5.2.
    #[error("unknown service: '{0}'")]
    UnknownService(Role),
    /// The service is registered but did not respond over HTTP.
    #[error("cannot deliver {name} to the service '{role}': {cause}")]
    Away {
        /// The service.
        role: Role,
        /// The message's name.
        name: MessageName,
        /// Host, port and reason.
        cause: ClientError,
    },
    /// The service is connected but does not read its frames.
    #[error("the service '{role}' does not read: {frames_max} frames are waiting for it")]
    Busy {
        /// The service.
        role: Role,
        /// The most frames that may wait.
        frames_max: usize,
    },
    /// A limit of the mock broker is reached.
    #[error("the mock broker holds at most {max} {what}")]
    Full {
        /// The kind of entry that is limited.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The event a test waited for did not happen.
    #[error("{what} within {} ms; {instead}", waited.as_millis())]
    Missing {
        /// The event, as the start of a sentence.
        what: String,
        /// The timeout.
        waited: Duration,
        /// The events that happened instead.
        instead: String,
    },
}
