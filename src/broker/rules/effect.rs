//! Effects: the actions that the rules request from their caller.

use std::fmt;
use std::time::Duration;

use super::{Envelope, InstanceKey, PackedTrace, Reason};
use crate::message::{ActivityId, InstanceId, Message, MessageName, Role};

/// An action for the caller. `H` is the caller's handle of an instance.
#[derive(Debug)]
pub(crate) enum Effect<H> {
    /// Give the envelope to an instance in this process now; call `put_back` if it is busy.
    Deliver {
        /// The instance's handle.
        handle: H,
        /// The instance.
        key: InstanceKey,
        /// The envelope.
        envelope: Envelope,
    },
    /// Wake the instance's courier: it has work, or its instance has changed or left.
    Wake {
        /// The instance's handle.
        handle: H,
    },
    /// Report an envelope that was given up.
    Undelivered {
        /// The envelope.
        envelope: Envelope,
        /// The reason.
        reason: Reason,
    },
    /// Inform the operator.
    Note(Note),
    /// Log a routed message; only emitted if messages are logged.
    Routed(Routed),
    /// Record the trace of a message; only emitted if traces are kept or followed. Precedes the message's deliveries.
    Traced(PackedTrace),
}

impl<H> Effect<H> {
    /// Gives up an envelope; there is nothing to do for one that is not reported.
    pub(super) fn give_up(envelope: Envelope, reason: Reason, effects: &mut Vec<Self>) {
        if envelope.reported {
            effects.push(Self::Undelivered { envelope, reason });
        }
    }
}

/// An event of interest to the operator. exo 3.3, 3.6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// A service has registered, or has registered again over its WebSocket.
    Registered {
        /// Its role.
        role: Role,
        /// Its id.
        instance: InstanceId,
    },
    /// A registered service receives or sends other messages, is reached elsewhere, or is away or back.
    Changed {
        /// Its role.
        role: Role,
        /// Its id.
        instance: InstanceId,
    },
    /// A registered service has left, or its WebSocket has closed.
    Disconnected {
        /// Its role.
        role: Role,
        /// Its id.
        instance: InstanceId,
    },
    /// A request for a WebSocket is invalid.
    BadUpgrade {
        /// The cause.
        cause: String,
    },
    /// The sender may not send messages of this name.
    Forbidden {
        /// The sender that the message names.
        sender: Option<Role>,
        /// The message.
        name: MessageName,
    },
    /// No role receives messages of this name.
    NoReceivers {
        /// The sender's name for the message.
        name: MessageName,
    },
    /// A role that the landscape declares has no instance.
    NoService {
        /// The role.
        role: Role,
    },
    /// The security service refused a message.
    Unauthorized {
        /// The message.
        name: MessageName,
        /// The sender.
        sender: Option<Role>,
        /// Its conversation.
        activity: ActivityId,
    },
    /// The security service sent a verdict on a message that is not held, or no longer.
    StrayVerdict {
        /// Name of the verdict.
        name: MessageName,
        /// Activity of the verdict.
        activity: ActivityId,
    },
    /// A chain of messages that follow from one another is too long.
    Loop {
        /// The message that was refused.
        name: MessageName,
        /// Its conversation.
        activity: ActivityId,
        /// The longest chain that is allowed.
        hops_max: u32,
    },
    /// A frame is malformed.
    BadFrame {
        /// The sender's role, if it has registered.
        role: Option<Role>,
        /// Its id.
        instance: Option<InstanceId>,
        /// The beginning of the frame.
        raw: String,
        /// The cause.
        cause: String,
    },
    /// A connection is ended because its other end is silent, or broke a rule.
    BadSocket {
        /// The other end's role, if it has registered.
        role: Option<Role>,
        /// Its id.
        instance: Option<InstanceId>,
        /// The cause.
        cause: String,
    },
    /// The payload of a security request is not a message.
    BadSecurityRequest {
        /// The cause.
        cause: String,
    },
}

/// Uses the wording of the original brokers where they had one. exo 3.2, 3.3, 3.6, 3.7, 3.9.
impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name_of =
            |sender: &Option<Role>| sender.as_ref().map(|sender| sender.as_str().to_owned()).unwrap_or_default();
        match self {
            Self::Registered { role, .. } => write!(formatter, "'{role}' registered"),
            Self::Changed { role, .. } => write!(formatter, "'{role}' changed its registration"),
            Self::Disconnected { role, .. } => write!(formatter, "'{role}' disconnected"),
            Self::BadUpgrade { cause } => write!(formatter, "Error upgrading request to websocket: {cause}"),
            Self::Forbidden { sender, name } => {
                write!(formatter, "Service '{}' is not allowed to broadcast the message '{name}'", name_of(sender))
            }
            Self::NoReceivers { name } => write!(formatter, "No receivers for message '{name}' registered"),
            Self::NoService { role } => write!(formatter, "No connected service for role '{role}'"),
            Self::Unauthorized { name, sender, activity } => {
                let sender = name_of(sender);
                write!(formatter, "Unauthorized message '{name}' from '{sender}' with activityId '{activity}'")
            }
            Self::StrayVerdict { name, activity } => {
                write!(formatter, "'{name}' for activityId '{activity}', in which no message awaits a verdict")
            }
            Self::Loop { name, activity, hops_max } => write!(
                formatter,
                "'{name}' for activityId '{activity}' is refused: more than {hops_max} messages follow from one another, which \
                 is a loop"
            ),
            Self::BadFrame { role, instance, raw, cause } => {
                let (role, instance) = (name_of(role), instance.as_ref().map_or("", |id| id.as_str()));
                write!(formatter, "Error listening for messages for {role} {instance}: ")?;
                write!(formatter, "Error unmarshaling message: '{raw}': {cause}")
            }
            Self::BadSocket { role, instance, cause } => {
                let (role, instance) = (name_of(role), instance.as_ref().map_or("", |id| id.as_str()));
                write!(formatter, "Error listening for messages for {role} {instance}: ")?;
                write!(formatter, "Error reading from socket: {cause}")
            }
            Self::BadSecurityRequest { cause } => {
                write!(formatter, "Converting 'security request' payload to a message: {cause}")
            }
        }
    }
}

/// A routed message for the message log. exo 2.6.
#[derive(Debug)]
pub(crate) struct Routed {
    /// The message under its sender's name.
    pub(crate) message: Message,
    /// Receiving roles and their names for the message.
    pub(crate) receivers: Vec<(Role, MessageName)>,
    /// Time between the request and this reply.
    pub(crate) response_time: Option<Duration>,
}

impl Routed {
    /// Returns the entry for a message that has waited for its role; `sent_as` is the sender's name for it.
    pub(super) fn late(envelope: &Envelope, sent_as: MessageName) -> Self {
        let receivers = vec![(envelope.role.clone(), envelope.message.name.clone())];
        let message = Message { name: sent_as, ..envelope.message.clone() };
        Self { message, receivers, response_time: envelope.response_time }
    }
}
