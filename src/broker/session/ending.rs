//! Reasons for the end of a session, and the way each of them ends the connection.

use tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as SocketError, Utf8Bytes};

use crate::broker::error::Error;
use crate::broker::member::Acks;
use crate::http::websocket::{Ending, FrameRefused, Lost};

/// Bytes of a reason that are sent; a close frame holds 125 bytes at most.
const REASON_BYTES_MAX: usize = 100;

/// Reason for the end of a session.
pub(super) enum Ended {
    /// The other end is gone, without a close frame.
    Gone,
    /// The other end sent a close frame and waits for the answer.
    Closed,
    /// The other end does not read, or shows no sign of life.
    Silent(&'static str),
    /// The other end broke a rule; which one.
    Broke(CloseCode, String),
    /// The registration of the other end is refused; the reason.
    Refused(CloseCode, String),
    /// Another connection has the registration, or it was removed.
    Replaced,
    /// The broker stops.
    Stopped,
}

impl Ended {
    /// Returns the fault of the other end that ended the session, for the operator.
    pub(super) fn fault(&self) -> Option<&str> {
        match self {
            Self::Silent(why) => Some(why),
            Self::Broke(_, reason) => Some(reason),
            Self::Gone | Self::Closed | Self::Refused(..) | Self::Replaced | Self::Stopped => None,
        }
    }

    /// Returns how to close the connection; `None` to drop it without a word. Clients of the originals survive only a reset
    /// (exo 3.9, 8): they never get a close frame, except as the answer to their own.
    pub(super) fn ending(self, acks: Acks) -> Option<Ending> {
        let close = |code, reason: &str| Some(Ending::Polite(CloseFrame { code, reason: shorten(reason) }));
        match (self, acks) {
            (Self::Gone | Self::Silent(_), _) => None,
            (Self::Closed, _) => Some(Ending::Answer),
            (Self::Broke(..) | Self::Refused(..) | Self::Replaced | Self::Stopped, Acks::None) => Some(Ending::Reset),
            (Self::Broke(code, reason) | Self::Refused(code, reason), Acks::Each) => close(code, &reason),
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

/// A refused registration ends the session; the close code says if the service should try again.
pub(super) fn refused(error: &Error) -> Ended {
    let code = if *error == Error::Draining {
        CloseCode::Away
    } else if matches!(error, Error::Full { .. } | Error::RegistrationsFull { .. }) {
        CloseCode::Again
    } else {
        CloseCode::Policy
    };
    Ended::Refused(code, error.to_string())
}

impl From<Lost> for Ended {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Closed(_) => Self::Closed,
            Lost::Silent(_) => Self::Silent("it shows no sign of life"),
            Lost::Broken(error) => broken(error),
        }
    }
}

/// Errors that are the other end's fault are named in the close frame.
fn broken(error: SocketError) -> Ended {
    match error {
        SocketError::Capacity(limit) => Ended::Broke(CloseCode::Size, limit.to_string()),
        SocketError::Io(error) => match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(refused @ FrameRefused::TooLong { .. }) => Ended::Broke(CloseCode::Size, refused.to_string()),
            Some(refused @ FrameRefused::Full { .. }) => Ended::Broke(CloseCode::Again, refused.to_string()),
            None => Ended::Gone,
        },
        SocketError::Utf8(detail) => Ended::Broke(CloseCode::Invalid, detail),
        SocketError::Protocol(ResetWithoutClosingHandshake) => Ended::Gone,
        SocketError::Protocol(cause) => Ended::Broke(CloseCode::Protocol, cause.to_string()),
        // Errors of the connection itself, and those that a server never sees.
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
