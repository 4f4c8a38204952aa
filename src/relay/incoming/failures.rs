//! Messages that were not handled: dead letters, events, and notices to requesters.

use std::sync::Arc;

use super::outcome::Failure;
use crate::message::Message;
use crate::relay::dead_letters::DeadLetters;
use crate::relay::events::EventSender;
use crate::relay::outgoing::Outgoing;
use crate::relay::{DeadLetterId, Direction, Error};

/// Reports messages that were not handled.
pub(super) struct Failures {
    outgoing: Arc<Outgoing>,
    dead_letters: Arc<DeadLetters>,
    events: EventSender,
}

impl Failures {
    pub(super) fn new(outgoing: Arc<Outgoing>, dead_letters: Arc<DeadLetters>, events: EventSender) -> Self {
        Self { outgoing, dead_letters, events }
    }

    /// Sends an event about something that was received.
    pub(super) fn event(&self, error: Error) {
        self.events.error(error);
    }

    /// Makes a message a dead letter and an event, and notifies the requester who waits for its reply.
    pub(super) fn report(&self, message: &Message, failure: &Failure) -> DeadLetterId {
        let Failure { cause, reason } = failure;
        let (message_id, name) = (&message.id, &message.name);
        tracing::warn!(%message_id, %name, reason, "message was not handled, it is now a dead letter");
        let letter = self.dead_letters.add(message, (Direction::Incoming, *cause), reason.clone());
        self.notify_requester(message, reason);
        let (name, id) = (message.name.clone(), message.id.clone());
        self.events.error(Error::HandlerFailed { name, id, reason: reason.clone() });
        letter
    }

    /// Notifies the requester, if one waits for a reply to the message, that there will be none.
    pub(super) fn notify_requester(&self, message: &Message, reason: &str) {
        if let Err(error) = self.outgoing.report_failure(message, reason, None) {
            tracing::warn!(message_id = %message.id, %error, "the requester was not notified of the failure");
        }
    }
}
