//! Notices about the fate of a message, which travel to its sender like replies: `responseTo` is the id of the message.

use serde::{Deserialize, Serialize};

use super::{MessageId, MessageName, Payload, Role};

/// Name of the message by which the broker informs the sender that it could not deliver a message it had accepted.
pub const UNDELIVERED: &str = "exocom.undelivered";

/// A message that could not be delivered: the payload of [`UNDELIVERED`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undeliverable {
    /// Public name of the message.
    pub name: MessageName,
    /// Role that should have received it; `None` if no service receives such messages.
    #[serde(default)]
    pub receiver: Option<Role>,
    /// Reason, for people.
    pub reason: String,
    /// Envelope of the message, under its sender's name for it, so that the sender can send it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Payload>,
}

/// Name of the message by which the relay of a receiver informs the requester that there will be no reply. Its payload is
/// a [`Failure`].
pub const FAILED: &str = "exocom.failed";

/// Failure of a request at its receiver: the payload of [`FAILED`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Id of the request.
    pub id: MessageId,
    /// Name of the request, as the receiver uses it.
    pub name: MessageName,
    /// Role of the receiver.
    pub role: Role,
    /// Reason, for people.
    pub reason: String,
    /// Value that the receiver returns with the failure, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
}
