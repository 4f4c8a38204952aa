//! Deliveries: what a courier is given, and what it reports back.

use std::fmt;
use std::time::{Duration, Instant};

use super::Envelope;
use crate::broker::wire::Address;
use crate::message::{Delivery, Message};

/// The next step of a courier.
#[derive(Debug)]
pub(crate) enum Work {
    /// The instance has left; its courier ends.
    Gone,
    /// There is nothing to deliver; wait to be woken.
    Nothing,
    /// Deliver this batch and record its outcome.
    Batch(Batch),
}

/// The messages of one delivery, at least one.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The receiver's address; `None` for an instance in this process or behind a WebSocket.
    pub(crate) address: Option<Address>,
    /// For a receiver that takes one message at a time: the number of this delivery, for [`super::Exchange::record_single`].
    /// Other deliveries to it may be in progress. `None` if the receiver takes an array.
    pub(crate) single: Option<u64>,
    /// In order.
    pub(crate) messages: Vec<Message>,
    /// One for each message.
    pub(crate) timings: Vec<Timing>,
}

/// The share of a queue that a delivery takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Portion {
    /// Several messages, while no other delivery is in progress: the first, and those behind it within
    /// both limits.
    Batch {
        /// Maximum number of messages.
        messages_max: usize,
        /// Maximum size.
        bytes_max: usize,
    },
    /// One message, beside the other deliveries.
    Single {
        /// Maximum number of deliveries in progress.
        deliveries_max: usize,
    },
}

/// The messages of a delivery that begins.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// In order; none if there is nothing to deliver now.
    pub(crate) messages: Vec<Message>,
    /// One for each message.
    pub(crate) timings: Vec<Timing>,
    /// The number of the delivery, if it is a [`Portion::Single`].
    pub(crate) single: Option<u64>,
}

/// When a message was accepted, and the time between its request and it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) accepted: Instant,
    pub(crate) response_time: Option<Duration>,
}

impl Timing {
    pub(super) fn of(envelope: &Envelope) -> Self {
        Self { accepted: envelope.accepted, response_time: envelope.response_time }
    }
}

/// The result of one delivery.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// The receiver answered for each message, in order. Messages without an answer are retried.
    Answered(Vec<Outcome>),
    /// The receiver refused the batch as a whole; smaller batches will show which message is the cause.
    TooLarge {
        /// The receiver's answer.
        detail: String,
    },
    /// The receiver is away, does not answer, or has no capacity at all.
    Unreachable {
        /// The failure.
        cause: String,
    },
}

/// The result of a delivery for one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The receiver has it.
    Delivered,
    /// It is retried; the reason.
    Retry(String),
    /// It is given up.
    Rejected(Reason),
}

impl From<Delivery> for Outcome {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Accepted => Self::Delivered,
            Delivery::Busy { .. } => Self::Retry("the receiver is busy".into()),
            Delivery::Unknown => Self::Rejected(Reason::Unknown),
            Delivery::Refused { detail } => Self::Rejected(Reason::Refused(detail)),
        }
    }
}

/// Reason for giving up a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The delivery window passed.
    Window {
        /// Length of the window.
        window: Duration,
        /// Cause of the last failure, if delivery was tried at all.
        last_failure: Option<String>,
    },
    /// The receiver's queue was full.
    QueueFull,
    /// The receiver does not know the message.
    Unknown,
    /// The receiver refused the message; its answer.
    Refused(String),
    /// The security service refused the message.
    Unauthorized,
    /// The security service did not answer in time.
    NotAuthorized {
        /// Time the message was held.
        hold: Duration,
    },
    /// The broker shut down first.
    Closed,
    /// The broker had just started, and no service that receives the message registered.
    NoReceivers,
}

impl Reason {
    /// Returns the text by which a cause is counted.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Window { .. } => "not_delivered_in_time",
            Self::QueueFull => "queue_full",
            Self::Unknown => "unknown_to_receiver",
            Self::Refused(_) => "refused_by_receiver",
            Self::Unauthorized => "unauthorized",
            Self::NotAuthorized { .. } => "not_authorized_in_time",
            Self::Closed => "broker_closed",
            Self::NoReceivers => "no_receivers",
        }
    }
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
            Self::Unauthorized => formatter.write_str("the security service refused it"),
            Self::NotAuthorized { hold } => {
                write!(formatter, "the security service did not answer within {} ms", hold.as_millis())
            }
            Self::Closed => formatter.write_str("the broker shut down before it could be delivered"),
        }
    }
}
