//! One message on its way to one role.

use std::time::{Duration, Instant};

use crate::message::{InstanceId, Message, MessageName, Role};

/// One message for one role. A message for three roles is three parcels that share its texts.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    /// The place in the order of all parcels.
    pub(crate) sequence: u64,
    /// When it was accepted; the delivery window counts from here.
    pub(crate) accepted: Instant,
    /// As the receiver gets it: the name is the receiver's.
    pub(crate) message: Message,
    /// The name everybody else knows it by.
    pub(crate) public: MessageName,
    /// The role it is for.
    pub(crate) role: Role,
    /// A reply that its role does not subscribe to: only this instance may have it.
    pub(crate) only: Option<InstanceId>,
    /// The instance that sent it, which is told when it cannot be delivered.
    pub(crate) origin: Option<InstanceId>,
    /// How long after what it answers it came.
    pub(crate) response_time: Option<Duration>,
    /// Whether failing to deliver it is worth a report. Reports themselves are not.
    pub(crate) reported: bool,
    /// Whether the message log shows it already; what waits for a role that is away is shown when it is handed over.
    pub(crate) logged: bool,
    /// How often its delivery was tried.
    pub(crate) tries: u32,
}

impl Parcel {
    /// What it counts for the bound on bytes.
    pub(crate) fn bytes(&self) -> usize {
        bytes_of(&self.message)
    }

    /// Whether its delivery window has passed.
    pub(crate) fn is_late(&self, now: Instant, window: Duration) -> bool {
        now.duration_since(self.accepted) >= window
    }
}

/// What a message counts for the bound on bytes: everything in it that may be long.
pub(crate) fn bytes_of(message: &Message) -> usize {
    let long = [&message.payload, &message.auth];
    long.into_iter().flatten().map(|value| value.as_bytes().len()).sum()
}
