//! Bus errors.

use crate::http::ClientError;

/// Reason why the bus could not be used. All of them may be temporary, so the relay retries.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The broker did not answer.
    #[error("the bus is unreachable")]
    Away(#[from] ClientError),
    /// The broker's answer is not part of the protocol.
    #[error("the broker at {url} answered {status} to {call}: {hint}")]
    Unexpected {
        /// URL of the broker.
        url: String,
        /// The call.
        call: &'static str,
        /// Status of the answer.
        status: u16,
        /// Advice for the operator.
        hint: String,
    },
    /// The broker does not know this relay: the broker has restarted, or the lease has expired.
    #[error("the broker at {url} does not know this relay; it has to register again")]
    Unregistered {
        /// URL of the broker.
        url: String,
    },
    /// The broker refused the registration.
    #[error("the broker refused the registration: {0}")]
    Registration(String),
    /// The connection to the broker was lost. Whether the last messages arrived is unknown.
    #[error("lost the connection to the broker at {authority}: {cause}")]
    Lost {
        /// Host and port.
        authority: String,
        /// Cause of the loss.
        cause: String,
    },
    /// The broker closed the connection because a frame exceeded its size limit.
    #[error("the broker at {authority} closed the connection: a message exceeds its size limit")]
    TooLarge {
        /// Host and port.
        authority: String,
    },
    /// There is no connection to the broker at the moment.
    #[error("not connected to the broker at {authority}")]
    NotConnected {
        /// Host and port.
        authority: String,
    },
}

/// Returns the `detail` of a problem document (RFC 9457); `None` if `body` is something else.
pub(super) fn problem_detail(body: &[u8]) -> Option<String> {
    let problem: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(problem.get("detail")?.as_str()?.to_owned())
}
