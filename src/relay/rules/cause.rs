//! Causes of dead letters, for counting.

use std::error::Error;

/// Cause of a dead letter. Its text in a metric is [`Cause::label`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The handler returned an error.
    HandlerFailed,
    /// The handler panicked.
    HandlerPanicked,
    /// The service behind the webhook refused the message.
    ServiceRefused,
    /// The service behind the webhook did not answer well in time.
    ServiceAway,
    /// The service handled the message, and its reply cannot be sent.
    ReplyInvalid,
    /// No follower acknowledged the message.
    NotAcknowledged,
    /// The relay was closed before.
    RelayClosed,
    /// No service receives the message.
    NoReceivers,
    /// The bus refused the message.
    BusRefused,
    /// The bus could not deliver the message.
    Undelivered,
    /// The queue of the receiver was full.
    ReceiverBusy,
    /// Another cause.
    Other,
}

impl Cause {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::HandlerFailed => "handler_failed",
            Self::HandlerPanicked => "handler_panicked",
            Self::ServiceRefused => "service_refused",
            Self::ServiceAway => "service_away",
            Self::ReplyInvalid => "reply_invalid",
            Self::NotAcknowledged => "not_acknowledged",
            Self::RelayClosed => "relay_closed",
            Self::NoReceivers => "no_receivers",
            Self::BusRefused => "bus_refused",
            Self::Undelivered => "undelivered",
            Self::ReceiverBusy => "receiver_busy",
            Self::Other => "other",
        }
    }
}

/// An error of a handler whose cause is known. It reads like the error itself.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Attributed {
    /// The cause.
    pub(crate) cause: Cause,
    /// The error.
    #[source]
    pub(crate) error: Box<dyn Error + Send + Sync>,
}
