//! The message that notifies a sender of a failed delivery.

use super::rules::Envelope;
use super::wire::Undelivered;
use crate::message::{Message, MessageId, MessageName, Payload, Role, UNDELIVERED, Undeliverable};

/// Its sender.
const BROKER: &str = "exocom";

/// Returns the message that notifies a sender of a failed delivery, and brings back the message that it called `sent_as`.
pub(super) fn notice(envelope: &Envelope, row: &Undelivered, sent_as: MessageName) -> Message {
    let Undelivered { name, receiver, reason, .. } = row.clone();
    let message = Message { name: sent_as, ..envelope.message.clone() };
    let mut notice = Undeliverable { name, receiver, reason, message: Payload::parse_carried(message.to_json()).ok() };
    let payload = Payload::of_carried(&notice).or_else(|_| {
        // Nested too deep to be part of another message.
        notice.message = None;
        Payload::of_carried(&notice)
    });
    let name = MessageName::parse(UNDELIVERED).expect("a valid name");
    Message {
        payload: payload.ok(),
        sender: Role::parse(BROKER).ok(),
        activity_id: envelope.message.activity_id.clone(),
        response_to: Some(envelope.message.id.clone()),
        ..Message::new(MessageId::from_uuid(uuid::Uuid::now_v7()), name)
    }
}
