//! Errors of outgoing calls.

use std::time::Duration;

use axum::http::StatusCode;

/// Why a call has no usable answer. Whether the other side saw the request is unknown, except after
/// [`ClientError::Connect`] and [`ClientError::Url`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The URL has no host, or another scheme than http and https.
    #[error("{url:?} is not an http or https URL")]
    Url {
        /// The URL.
        url: String,
    },
    /// Nobody listens there.
    #[error("cannot connect to {authority}: {cause}")]
    Connect {
        /// Host and port.
        authority: String,
        /// The system's reason.
        cause: String,
    },
    /// The connection broke before the answer was complete.
    #[error("the connection to {authority} broke: {cause}")]
    Broken {
        /// Host and port.
        authority: String,
        /// What broke.
        cause: String,
    },
    /// There was no complete answer in time.
    #[error("{authority} did not answer within {} ms", timeout.as_millis())]
    Timeout {
        /// Host and port.
        authority: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// The answer is over the limit; its status had been read.
    #[error("the answer of {authority} ({status}) is over the limit of {bytes_max} bytes")]
    AnswerTooLarge {
        /// Host and port.
        authority: String,
        /// The status of the answer.
        status: StatusCode,
        /// The limit.
        bytes_max: usize,
    },
}

/// The last cause of the chain, which is the one that names the reason.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
