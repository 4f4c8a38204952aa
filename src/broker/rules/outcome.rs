//! What passes between the machine and the shell that performs it.

use std::fmt;
use std::time::{Duration, Instant};

use super::{Key, Parcel, Trace};
use crate::broker::wire::Address;
use crate::message::{ActivityId, Delivery, InstanceId, Message, MessageName, Role};

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
    /// Something that an operator wants to know.
    Note(Note),
    /// A message was routed; only emitted when messages are logged.
    Routed(Routed),
    /// A message came by; only emitted when somebody may want to see it. Stands before its deliveries.
    Passed(Trace),
}

/// What an operator wants to know. exo 3.3, 3.6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// A service has registered, for the first time or, over its WebSocket, anew.
    Registered {
        /// Its role.
        role: Role,
        /// Its id.
        instance: InstanceId,
    },
    /// A registered service has left, or its WebSocket has ended.
    Disconnected {
        /// Its role.
        role: Role,
        /// Its id.
        instance: InstanceId,
    },
    /// Somebody asked for a WebSocket in a way that cannot be granted.
    BadUpgrade {
        /// Why.
        cause: String,
    },
    /// The sender may not send messages of this name.
    Forbidden {
        /// Who sent it, by its own words.
        sender: Option<Role>,
        /// The message.
        name: MessageName,
    },
    /// No role receives messages of this name.
    NoReceivers {
        /// The message, as its sender calls it.
        name: MessageName,
    },
    /// A role that the landscape declares has no instance now.
    NoService {
        /// The role.
        role: Role,
    },
    /// The security service refused a message.
    Unauthorized {
        /// The message.
        name: MessageName,
        /// Who sent it.
        sender: Option<Role>,
        /// Its conversation.
        activity: ActivityId,
    },
    /// The security service judged what is not, or no more, waiting for it.
    StrayVerdict {
        /// Its answer.
        name: MessageName,
        /// The activity it answered in.
        activity: ActivityId,
    },
    /// A frame cannot be understood.
    BadFrame {
        /// Who sent it, if it has registered.
        role: Option<Role>,
        /// Its id.
        instance: Option<InstanceId>,
        /// The beginning of the frame.
        raw: String,
        /// Why.
        cause: String,
    },
    /// What the security service asks for is no message.
    BadSecurityRequest {
        /// Why.
        cause: String,
    },
}

/// The words of the originals where they had words. exo 3.2, 3.3, 3.6, 3.7, 3.9.
impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = |sender: &Option<Role>| sender.as_ref().map(|sender| sender.as_str().to_owned()).unwrap_or_default();
        match self {
            Self::Registered { role, .. } => write!(formatter, "'{role}' registered"),
            Self::Disconnected { role, .. } => write!(formatter, "'{role}' disconnected"),
            Self::BadUpgrade { cause } => write!(formatter, "Error upgrading request to websocket: {cause}"),
            Self::Forbidden { sender, name } => {
                write!(formatter, "Service '{}' is not allowed to broadcast the message '{name}'", who(sender))
            }
            Self::NoReceivers { name } => write!(formatter, "No receivers for message '{name}' registered"),
            Self::NoService { role } => write!(formatter, "No connected service for role '{role}'"),
            Self::Unauthorized { name, sender, activity } => {
                let sender = who(sender);
                write!(formatter, "Unauthorized message '{name}' from '{sender}' with activityId '{activity}'")
            }
            Self::StrayVerdict { name, activity } => {
                write!(formatter, "'{name}' for activityId '{activity}', in which no message waits to be judged")
            }
            Self::BadFrame { role, instance, raw, cause } => {
                let (role, instance) = (who(role), instance.as_ref().map_or("", |id| id.as_str()));
                write!(formatter, "Error listening for messages for {role} {instance}: ")?;
                write!(formatter, "Error unmarshaling message: '{raw}': {cause}")
            }
            Self::BadSecurityRequest { cause } => {
                write!(formatter, "Converting 'security request' payload to a message: {cause}")
            }
        }
    }
}

/// One routed message, as the log shows it. exo 2.6.
#[derive(Debug)]
pub(crate) struct Routed {
    /// The message as it was sent.
    pub(crate) message: Message,
    /// Who gets it, and by which name.
    pub(crate) receivers: Vec<(Role, MessageName)>,
    /// How long after what it answers it came.
    pub(crate) response_time: Option<Duration>,
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
    /// The security service refused it.
    Unauthorized,
    /// The security service did not judge it in time.
    NotJudged {
        /// How long was waited.
        hold: Duration,
    },
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
            Self::Unauthorized => formatter.write_str("the security service refused it"),
            Self::NotJudged { hold } => {
                write!(formatter, "the security service did not judge it within {} ms", hold.as_millis())
            }
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
    /// One for each message.
    pub(crate) stamps: Vec<Taken>,
}

/// When a message was accepted, and how long after what it answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) accepted: Instant,
    pub(crate) response_time: Option<Duration>,
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
