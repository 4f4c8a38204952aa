//! Outcomes of an incoming message.

use std::time::Duration;

use crate::message::Delivery;
use crate::relay::Cause;

/// Wait suggested to a broker that found the inbox full.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Reason why a delivery is not accepted. The message does not count as received, so it may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No handler, webhook or subscriber takes messages of this name.
    Unknown,
    /// The inbox is full.
    Busy {
        /// Time to wait before the next attempt.
        retry_after: Duration,
    },
    /// The relay is shutting down.
    Closing {
        /// Time to wait before the next attempt, which may reach another instance.
        retry_after: Duration,
    },
}

impl From<Refused> for Delivery {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown => Self::Unknown,
            Refused::Busy { retry_after } | Refused::Closing { retry_after } => Self::Busy { retry_after },
        }
    }
}

/// Failure of a handler, which makes its message a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    /// Reason of the dead letter, for people.
    pub(crate) reason: String,
}

impl Failure {
    pub(crate) fn new(cause: Cause, reason: impl Into<String>) -> Self {
        Self { cause, reason: reason.into() }
    }
}

/// Result of a handler.
pub(crate) type Outcome = Result<(), Failure>;
