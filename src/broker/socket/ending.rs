//! How a socket ends, and what its other end is told.

use tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as SocketError, Utf8Bytes};

use super::Acks;
use crate::broker::error::Error;
use crate::http::Ending;

/// How much of a reason is told: a close frame has 125 bytes at most.
const REASON_BYTES_MAX: usize = 100;

/// Why a socket is served no more.
pub(super) enum Ended {
    /// The other end has gone without a word.
    Gone,
    /// The other end has said that it goes, and waits for the answer.
    Closed,
    /// It does not read, or shows no sign of life.
    Silent(&'static str),
    /// It broke a rule, or asks for what cannot be had; which.
    Broke(CloseCode, String),
    /// Another connection has its place, or somebody has struck it off the roster.
    Replaced,
    /// The broker shuts down.
    Stopped,
}

impl Ended {
    /// How the connection ends; `None` if there is nobody to end it with. Clients of the originals live on only if the
    /// connection just ends (exo 3.9): they get a close frame for their own faults alone.
    pub(super) fn ending(self, acks: Acks) -> Option<Ending> {
        let close = |code, reason: &str| Some(Ending::Polite(CloseFrame { code, reason: shorten(reason) }));
        match (self, acks) {
            (Self::Gone | Self::Silent(_), _) => None,
            (Self::Replaced | Self::Stopped, Acks::None) => Some(Ending::Abrupt),
            (Self::Closed, _) => Some(Ending::Answer),
            (Self::Broke(code, reason), _) => close(code, &reason),
            (Self::Replaced, Acks::Each) => close(CloseCode::Normal, "the instance is gone, or connected anew"),
            (Self::Stopped, Acks::Each) => close(CloseCode::Away, "shutting down"),
        }
    }
}

fn shorten(reason: &str) -> Utf8Bytes {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].into()
}

/// A registration that is refused ends its socket; the code tells whether to come again.
pub(super) fn refused(error: &Error) -> Ended {
    let code = if *error == Error::Draining {
        CloseCode::Away
    } else if matches!(error, Error::Full { .. }) {
        CloseCode::Again
    } else {
        CloseCode::Policy
    };
    Ended::Broke(code, error.to_string())
}

/// What an error of the socket means: some of them are the other end's fault, and it is told which.
pub(super) fn broke(error: SocketError) -> Ended {
    match error {
        SocketError::Capacity(limit) => Ended::Broke(CloseCode::Size, limit.to_string()),
        SocketError::Utf8(detail) => Ended::Broke(CloseCode::Invalid, detail),
        SocketError::Protocol(ResetWithoutClosingHandshake) => Ended::Gone,
        SocketError::Protocol(cause) => Ended::Broke(CloseCode::Protocol, cause.to_string()),
        // The connection itself, or nothing that a server meets.
        _ => Ended::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(shorten("short").as_str(), "short");
        assert_eq!(shorten(&"ü".repeat(80)).as_str(), "ü".repeat(50));
        assert_eq!(shorten(&format!("x{}", "ü".repeat(80))).as_str(), format!("x{}", "ü".repeat(49)));
    }
}
