//! State of a mock broker: the messages it received, the services it knows, and the replies it gives.

use std::fmt::Write;

use super::Error;
use super::service::{Origin, Service};
use crate::message::{InstanceId, Message, MessageName, Payload, Role};

/// Messages that are recorded; further ones are refused until [`super::MockBroker::reset`].
pub(super) const MESSAGES_MAX: usize = 10_000;

/// Services that may be registered at once.
const SERVICES_MAX: usize = 1_024;

/// Message names that may have a reply.
const REPLIES_MAX: usize = 1_024;

/// Errors whose text is kept; further ones are only counted.
const ERRORS_MAX: usize = 100;

/// Messages and errors that a summary lists.
const LISTED_MAX: usize = 20;

/// Everything that happened since the start or the last reset.
#[derive(Default)]
pub(super) struct Record {
    received: Vec<Message>,
    errors: Vec<String>,
    errors_dropped: usize,
    services: Vec<Service>,
    replies: Vec<(MessageName, Reply)>,
    /// Status of the response to the last message sent over HTTP.
    pub(super) last_response_code: Option<u16>,
}

/// The reply to every message of some name.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) name: MessageName,
    pub(super) payload: Option<Payload>,
}

impl Record {
    /// Records a message. Returns false, and notes an error, if the record is full.
    pub(super) fn receive(&mut self, message: Message) -> bool {
        if self.received.len() >= MESSAGES_MAX {
            self.note_error(format!("'{}' was dropped: at most {MESSAGES_MAX} messages are recorded", message.name));
            return false;
        }
        self.received.push(message);
        true
    }

    pub(super) fn received(&self) -> &[Message] {
        &self.received
    }

    /// Notes an error for the message of a test that fails.
    pub(super) fn note_error(&mut self, error: String) {
        match self.errors.len() < ERRORS_MAX {
            true => self.errors.push(error),
            false => self.errors_dropped += 1,
        }
    }

    /// Forgets received messages and errors. Services and replies stay.
    pub(super) fn reset(&mut self) {
        self.received.clear();
        self.errors.clear();
        self.errors_dropped = 0;
        self.last_response_code = None;
    }

    /// Adds a service, or replaces its earlier registration. Errors: [`Error::Full`].
    pub(super) fn add(&mut self, service: Service) -> Result<(), Error> {
        self.services.retain(|known| !service.replaces(known));
        if self.services.len() >= SERVICES_MAX {
            return Err(Error::Full { what: "services", max: SERVICES_MAX });
        }
        self.services.push(service);
        Ok(())
    }

    /// Removes an instance. Returns false if the role has no such instance.
    pub(super) fn remove(&mut self, role: &Role, instance: &InstanceId) -> bool {
        let before = self.services.len();
        self.services.retain(|known| known.role != *role || known.instance.as_ref() != Some(instance));
        self.services.len() < before
    }

    /// Removes the services of a connection that has ended.
    pub(super) fn remove_connection(&mut self, connection: u64) {
        self.services.retain(|known| !known.is_connection(connection));
    }

    /// Forgets every service that registered itself.
    pub(super) fn forget_registered(&mut self) {
        self.services.retain(|known| known.origin == Origin::Test);
    }

    pub(super) fn forget_all(&mut self) {
        self.services.clear();
    }

    pub(super) fn services(&self) -> &[Service] {
        &self.services
    }

    /// Returns the newest service of a role.
    pub(super) fn find(&self, role: &Role) -> Option<&Service> {
        self.services.iter().rev().find(|known| known.role == *role)
    }

    pub(super) fn find_instance(&self, instance: &InstanceId) -> Option<&Service> {
        self.services.iter().find(|known| known.instance.as_ref() == Some(instance))
    }

    pub(super) fn find_connection(&self, connection: u64) -> Option<&Service> {
        self.services.iter().rev().find(|known| known.is_connection(connection))
    }

    /// Sets the reply to messages called `name`. Errors: [`Error::Full`].
    pub(super) fn set_reply(&mut self, name: MessageName, reply: Reply) -> Result<(), Error> {
        self.replies.retain(|(known, _)| *known != name);
        if self.replies.len() >= REPLIES_MAX {
            return Err(Error::Full { what: "replies", max: REPLIES_MAX });
        }
        self.replies.push((name, reply));
        Ok(())
    }

    pub(super) fn reply_to(&self, name: &MessageName) -> Option<&Reply> {
        self.replies.iter().find(|(known, _)| known == name).map(|(_, reply)| reply)
    }

    /// Describes what was received and which errors occurred, for the message of a failed test.
    pub(super) fn summary(&self) -> String {
        let describe = |message: &Message| match &message.sender {
            Some(sender) => format!("'{}' from '{sender}'", message.name),
            None => format!("'{}'", message.name),
        };
        let received: Vec<String> = self.received.iter().map(describe).collect();
        let mut text = listed("received", &received, 0);
        let roles: Vec<String> = self.services.iter().map(|known| format!("'{}'", known.role)).collect();
        write!(text, "; {}", listed("known services", &roles, 0)).expect("writing to a string cannot fail");
        if !self.errors.is_empty() {
            let errors = listed("errors", &self.errors, self.errors_dropped);
            write!(text, "; {errors}").expect("writing to a string cannot fail");
        }
        text
    }
}

/// Formats a list as `received: 'a', 'b'`, cut off after [`LISTED_MAX`] items.
fn listed(label: &str, items: &[String], dropped: usize) -> String {
    if items.is_empty() {
        return format!("{label}: none");
    }
    let shown = items[..items.len().min(LISTED_MAX)].join(", ");
    match items.len().saturating_sub(LISTED_MAX) + dropped {
        0 => format!("{label}: {shown}"),
        hidden => format!("{label}: {shown} and {hidden} more"),
    }
}
