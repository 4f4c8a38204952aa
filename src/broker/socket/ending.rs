//! How a socket ends, and what its other end is told.

use axum::extract::ws::{CloseFrame, Utf8Bytes, close_code};

use super::Acks;
use crate::broker::error::Error;

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
    Broke(u16, String),
    /// Another connection has its place, or somebody has struck it off the roster.
    Replaced,
    /// The broker shuts down.
    Stopped,
}

/// What is still sent.
pub(super) enum Farewell {
    /// Nothing: the connection just ends.
    None,
    /// The answer to the other end's close frame.
    Answer,
    /// A close frame of ours.
    Close(CloseFrame),
}

impl Ended {
    /// Clients of the originals live on only if the connection just ends (exo 3.9): they get a close frame for their
    /// own faults alone.
    pub(super) fn farewell(self, acks: Acks) -> Farewell {
        let close = |code, reason: &str| Farewell::Close(CloseFrame { code, reason: shorten(reason) });
        match (self, acks) {
            (Self::Gone | Self::Silent(_), _) | (Self::Replaced | Self::Stopped, Acks::None) => Farewell::None,
            (Self::Closed, _) => Farewell::Answer,
            (Self::Broke(code, reason), _) => close(code, &reason),
            (Self::Replaced, Acks::Each) => close(close_code::NORMAL, "the instance is gone, or connected anew"),
            (Self::Stopped, Acks::Each) => close(close_code::AWAY, "shutting down"),
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
        close_code::AWAY
    } else if matches!(error, Error::Full { .. }) {
        close_code::AGAIN
    } else {
        close_code::POLICY
    };
    Ended::Broke(code, error.to_string())
}

/// What an error of the socket means: some of them are the other end's fault, and it is told which.
pub(super) fn broke(error: &axum::Error) -> Ended {
    use tokio_tungstenite::tungstenite::Error as Cause;
    use tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Cause>());
    match source {
        Some(Cause::Capacity(limit)) => Ended::Broke(close_code::SIZE, limit.to_string()),
        Some(Cause::Utf8(detail)) => Ended::Broke(close_code::INVALID, detail.clone()),
        Some(Cause::Protocol(ResetWithoutClosingHandshake)) => Ended::Gone,
        Some(Cause::Protocol(cause)) => Ended::Broke(close_code::PROTOCOL, cause.to_string()),
        Some(_) | None => Ended::Gone,
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
