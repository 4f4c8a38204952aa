//! Why the bus could not be used.

use crate::http::ClientError;

/// Why the bus could not be used. All of them may pass, so the relay tries again.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The broker did not answer.
    #[error("the bus is away: {0}")]
    Away(#[from] ClientError),
    /// The broker answered something else than the protocol has.
    #[error("the broker at {url} answered {status} to {call}: {hint}")]
    Unexpected {
        /// The broker.
        url: String,
        /// What was asked.
        call: &'static str,
        /// The status of its answer.
        status: u16,
        /// What to do about it.
        hint: String,
    },
    /// The broker does not know this relay: it has restarted, or the lease has ended.
    #[error("the broker at {url} does not know this relay (any more): it has to register again")]
    Unregistered {
        /// The broker.
        url: String,
    },
    /// The broker takes no more registrations, or is shutting down.
    #[error("the broker does not take the registration: {0}")]
    Registration(String),
    /// The connection to the broker has ended. Whether it has what was sent last is unknown.
    #[error("the connection to the broker at {authority} is lost: {cause}")]
    Lost {
        /// Host and port.
        authority: String,
        /// What ended it.
        cause: String,
    },
    /// The broker ended the connection because a frame was too large for it.
    #[error("the broker at {authority} ended the connection: a message is too large for it")]
    TooLarge {
        /// Host and port.
        authority: String,
    },
    /// There is no connection to the broker at this moment.
    #[error("not connected to the broker at {authority}")]
    NotConnected {
        /// Host and port.
        authority: String,
    },
}
