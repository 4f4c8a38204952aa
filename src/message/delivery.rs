//! Outcomes of handing a message over: to the bus, and to its receiver.

use std::time::Duration;

/// Outcome of publishing a message on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The bus has the message and delivers it.
    Accepted,
    /// No service receives messages of this name.
    NoReceivers,
    /// A queue is full. Nothing was taken; the same message can be sent again without a duplicate.
    Busy {
        /// Time to wait before the next attempt.
        retry_after: Duration,
    },
    /// The sender is not permitted to send this message.
    Forbidden {
        /// Explanation for the sender.
        detail: String,
    },
    /// The message is invalid and will never be accepted.
    Refused {
        /// Explanation for the sender.
        detail: String,
    },
}

/// Outcome of delivering a message to one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver has taken responsibility for the message.
    Accepted,
    /// The receiver's queue is full. Nothing was taken; deliver the message again later.
    Busy {
        /// Time to wait before the next attempt.
        retry_after: Duration,
    },
    /// The receiver does not handle messages of this name.
    Unknown,
    /// The receiver rejects the message for good.
    Refused {
        /// Explanation from the receiver.
        detail: String,
    },
}
