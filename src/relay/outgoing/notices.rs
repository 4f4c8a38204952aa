//! Notices about the fate of messages that this relay has sent.

use std::time::Duration;

use crate::message::{FAILED, Failure, Message, MessageName, Payload, Properties, ReplyTo, Role, Undeliverable};
use crate::relay::Error;

/// Length at which a reason is cut off, so that the notice stays within the bounds of a message.
const REASON_CHARS_MAX: usize = 2_000;

/// A notice that a message was not delivered, or not handled.
pub(super) struct Notice {
    pub(super) error: Error,
    /// The message, if it has come back.
    pub(super) message: Option<Message>,
}

impl Notice {
    /// Reads a notice: one of the broker, or of the relay of a receiver.
    pub(super) fn of(notice: &Message) -> Self {
        if notice.name.as_str() == FAILED {
            return Self { error: failed(notice), message: None };
        }
        let Ok(Undeliverable { name, receiver, mut reason, message }) = notice.payload() else {
            let (name, reason) = (notice.name.clone(), "the broker gave no reason".into());
            return Self { error: Error::Undeliverable { name, reason }, message: None };
        };
        cut(&mut reason);
        let message = message.and_then(|envelope| Message::from_json(None, envelope.as_bytes()).ok());
        let error = match receiver {
            Some(_) => Error::Undeliverable { name, reason },
            None => Error::NoReceivers(name),
        };
        Self { error, message }
    }
}

fn failed(notice: &Message) -> Error {
    match notice.payload::<Failure>() {
        Ok(Failure { id: _, name, role, mut reason, payload }) => {
            cut(&mut reason);
            Error::Failed { name, role, reason, payload }
        }
        Err(_) => {
            let role = notice.sender.clone().unwrap_or_else(|| Role::parse("unknown").expect("a valid role"));
            let (name, reason) = (notice.name.clone(), "it gave no reason".into());
            Error::Failed { name, role, reason, payload: None }
        }
    }
}

/// Cuts a reason off that somebody else wrote, and that is stored here.
fn cut(reason: &mut String) {
    reason.truncate(reason.floor_char_boundary(4 * REASON_CHARS_MAX));
    reason.shrink_to_fit();
}

/// Returns name and payload of the notice that `request` was not handled by the service `role`.
pub(super) fn failure(
    request: &Message,
    role: &Role,
    reason: &str,
    payload: Option<Payload>,
) -> (MessageName, Option<Payload>) {
    let (id, name) = (request.id.clone(), request.name.clone());
    let failure =
        Failure { id, name, role: role.clone(), reason: reason.chars().take(REASON_CHARS_MAX).collect(), payload };
    let name = MessageName::parse(FAILED).expect("a valid name");
    (name, Payload::of_carried(&failure).ok())
}

/// Returns the request that `reply` answers, as far as the reply shows it: its name is that of the reply. `None` if no
/// instance waits for the reply.
pub(super) fn request_of(reply: &Message) -> Option<Message> {
    let (id, asker) = (reply.response_to.clone()?, reply.properties.to.clone()?);
    let properties = Properties {
        hops: reply.properties.hops.saturating_sub(1),
        reply_to: Some(ReplyTo::new(asker, Duration::ZERO, false)),
        ..Properties::default()
    };
    Some(Message { id, response_to: None, properties, ..reply.clone() })
}
