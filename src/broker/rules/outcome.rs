//! What passes between the machine and the shell that performs it.

use std::fmt;
use std::time::Duration;

use super::{Key, Parcel};
use crate::broker::wire::{Address, Delivery};
use crate::message::{Message, MessageName, Role};

/// What the shell has to do. `H` is whatever the shell wants to be given back for an instance.
#[derive(Debug)]
pub(crate) enum Effect<H> {
    /// Give the parcel to an instance of this process, now; `put_back` it when there is no room.
    Deliver {
        /// The instance's handle.
        handle: H,
        /// The instance.
        key: Key,
        /// What to give it.
        parcel: Parcel,
    },
    /// Work has come for an instance that had none, or the instance has changed or left.
    Wake {
        /// The instance's handle.
        handle: H,
    },
    /// The parcel is given up.
    Undelivered {
        /// What could not be delivered.
        parcel: Parcel,
        /// Why.
        reason: Reason,
    },
    /// A message was routed; only emitted when messages are logged.
    Routed(Routed),
}

/// One routed message, as the log shows it. exo 2.6.
#[derive(Debug)]
pub(crate) struct Routed {
    /// The message as it was sent.
    pub(crate) message: Message,
    /// Who gets it, and by which name.
    pub(crate) receivers: Vec<(Role, MessageName)>,
}

/// Why a parcel was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The window passed; the last failure, if there was one.
    Window {
        /// How long was tried.
        window: Duration,
        /// Why the last try failed.
        last_failure: Option<String>,
    },
    /// The receiver's queue was full.
    QueueFull,
    /// The receiver does not know the message.
    Unknown,
    /// The receiver will not take it.
    Refused(String),
    /// The broker shut down first.
    Closed,
    /// The broker had just started, and no service came that receives it.
    NoReceivers,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window { window, last_failure: Some(failure) } => {
                write!(formatter, "not delivered within {} ms: {failure}", window.as_millis())
            }
            Self::Window { window, last_failure: None } => {
                write!(formatter, "not delivered within {} ms: no instance of the role was there", window.as_millis())
            }
            Self::QueueFull => formatter.write_str("the receiver's queue is full"),
            Self::Unknown => formatter.write_str("the receiver does not know the message"),
            Self::Refused(detail) => write!(formatter, "the receiver refused it: {detail}"),
            Self::NoReceivers => formatter.write_str("no service receives it"),
            Self::Closed => formatter.write_str("the broker shut down before it could be delivered"),
        }
    }
}

/// What a courier should do next.
#[derive(Debug)]
pub(crate) enum Work {
    /// The instance has left; there is nothing more to do for it.
    Gone,
    /// Wait to be woken.
    Nothing,
    /// Deliver this and settle it.
    Batch(Batch),
}

/// Messages for one delivery, never none.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Where to; `None` for an instance of this process.
    pub(crate) address: Option<Address>,
    /// Whether the receiver takes an array; otherwise there is exactly one message.
    pub(crate) together: bool,
    /// In order.
    pub(crate) messages: Vec<Message>,
}

/// How one delivery went.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// The receiver answered for each message, in order. Those it left out are tried again.
    Answered(Vec<Outcome>),
    /// The receiver refused the lot: with smaller ones it is told which message is to blame.
    TooMuch {
        /// What it said.
        detail: String,
    },
    /// The receiver is not there, does not answer, or has no room for anything.
    Silent {
        /// What happened instead.
        cause: String,
    },
}

/// What became of one message of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The receiver has it.
    Delivered,
    /// To be tried again; why.
    Later(String),
    /// Given up; why.
    Rejected(Reason),
}

impl From<Delivery> for Outcome {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Accepted => Self::Delivered,
            Delivery::Busy { .. } => Self::Later("the receiver is busy".into()),
            Delivery::Unknown => Self::Rejected(Reason::Unknown),
            Delivery::Refused { detail } => Self::Rejected(Reason::Refused(detail)),
        }
    }
}
