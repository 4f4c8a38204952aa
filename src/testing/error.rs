//! What can go wrong with a mock broker: mostly that something did not come.

use std::time::Duration;

use crate::http::{BindError, ClientError};
use crate::message::{MessageName, PayloadError, Role, TextError};

/// Why the mock broker could not do what a test asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no free port.
    #[error("{0}")]
    Listen(#[from] BindError),
    /// A role, a name or an id is empty, too long, or holds control characters.
    #[error("{0}")]
    Text(#[from] TextError),
    /// A payload or an `auth` cannot be written as JSON.
    #[error("cannot send {name}: {field} cannot be written as JSON: {cause}")]
    Payload {
        /// The message's name.
        name: MessageName,
        /// Which part of it.
        field: &'static str,
        /// What the value said.
        cause: PayloadError,
    },
    /// The address of a service is neither `HOST:PORT` nor an `http` URL.
    #[error("{address:?} is no address of a service: expected HOST:PORT such as 127.0.0.1:3001")]
    Address {
        /// What was given.
        address: String,
    },
    /// No service of this role is connected or registered. The words are the originals'. exo 5.2.
    #[error("unknown service: '{0}'")]
    UnknownService(Role),
    /// The service is registered, and does not answer over HTTP.
    #[error("the service '{role}' did not take {name}: {cause}")]
    Away {
        /// The service.
        role: Role,
        /// The message's name.
        name: MessageName,
        /// Host, port and reason.
        cause: ClientError,
    },
    /// The service is connected, and does not read what it is sent.
    #[error("the service '{role}' does not read: {frames_max} frames wait for it already")]
    Busy {
        /// The service.
        role: Role,
        /// How many may wait.
        frames_max: usize,
    },
    /// A bound of the mock is reached.
    #[error("the mock broker holds at most {max} {what}")]
    Full {
        /// What there are too many of.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// What a test waited for did not come.
    #[error("{what} within {} ms; {instead}", waited.as_millis())]
    Missing {
        /// What did not happen, as the start of a sentence.
        what: String,
        /// How long was waited.
        waited: Duration,
        /// What happened instead.
        instead: String,
    },
}
