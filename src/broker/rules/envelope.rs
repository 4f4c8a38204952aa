//! A message addressed to one role, with the state of its delivery.

use std::time::{Duration, Instant};

use crate::message::{InstanceId, Message, MessageName, Role};

/// One message for one role. A message for three roles becomes three envelopes that share its texts.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    /// Position in the order of acceptance, over all envelopes.
    pub(crate) sequence: u64,
    /// The start of the delivery window.
    pub(crate) accepted: Instant,
    /// The message under the receiver's name for it.
    pub(crate) message: Message,
    /// The public name of the message.
    pub(crate) public: MessageName,
    /// The receiving role.
    pub(crate) role: Role,
    /// The only instance that may have it: it is a reply to which the role does not subscribe.
    pub(crate) only: Option<InstanceId>,
    /// The sending instance, which is notified if delivery fails.
    pub(crate) origin: Option<InstanceId>,
    /// Time between the request and this reply.
    pub(crate) response_time: Option<Duration>,
    /// True if a failed delivery is reported. Reports themselves are not.
    pub(crate) reported: bool,
    /// True once the message log has it. A message for an absent role is logged when an instance gets it.
    pub(crate) logged: bool,
    /// True for a reply to an open request, which overtakes everything else on its way.
    pub(crate) urgent: bool,
    /// Failed delivery attempts.
    pub(crate) tries: u32,
}

impl Envelope {
    /// Size that counts towards the limits in bytes.
    pub(crate) fn bytes(&self) -> usize {
        bytes_of(&self.message)
    }

    /// Returns true if its delivery window has passed.
    pub(crate) fn is_late(&self, now: Instant, window: Duration) -> bool {
        now.duration_since(self.accepted) >= window
    }
}

/// Returns the size of a message that counts towards the limits in bytes: its payload and its auth value.
pub(crate) fn bytes_of(message: &Message) -> usize {
    let values = [&message.payload, &message.auth];
    values.into_iter().flatten().map(|value| value.as_bytes().len()).sum()
}
