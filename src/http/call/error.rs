//! Errors of outgoing calls.

use std::time::Duration;

use axum::http::StatusCode;

use super::credentials::hide_credentials;

/// Failure of a call. The server may have seen the request, except after [`ClientError::Connect`],
/// [`ClientError::TlsMissing`] and [`ClientError::Url`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The URL has no host, or another scheme than http and https.
    #[error("{url:?} is not an http or https URL")]
    Url {
        /// The URL, with its credentials hidden.
        url: String,
    },
    /// The connection could not be opened.
    #[error("cannot connect to {authority}: {cause}")]
    Connect {
        /// Host and port.
        authority: String,
        /// Cause reported by the system.
        cause: String,
    },
    /// The call needs TLS, which this program was built without.
    #[error("{authority} needs TLS, and this program was built without the feature \"tls\" of exorelay")]
    TlsMissing {
        /// Host and port.
        authority: String,
    },
    /// The connection broke before the answer was complete.
    #[error("the connection to {authority} broke: {cause}")]
    Broken {
        /// Host and port.
        authority: String,
        /// Cause of the failure.
        cause: String,
    },
    /// No complete answer arrived in time.
    #[error("{authority} did not answer within {} ms", timeout.as_millis())]
    Timeout {
        /// Host and port.
        authority: String,
        /// The timeout.
        timeout: Duration,
    },
    /// The body of the answer is too large. The status was read.
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

impl ClientError {
    /// Returns the error for a text that is not a URL to call; credentials in it are hidden.
    pub(crate) fn url(text: &str) -> Self {
        Self::Url { url: hide_credentials(text) }
    }
}

/// Returns the last cause of the chain, which is the most specific.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
