//! What a mock broker knows: what it received, who is there, and what it shall answer.

use std::fmt::Write;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Error;
use crate::broker::Dialect;
use crate::message::{InstanceId, Message, MessageName, Payload, Role};

/// Messages that are kept; further ones are refused until [`super::MockBroker::reset`].
pub(super) const MESSAGES_MAX: usize = 10_000;

/// Services that may be known at once.
const SERVICES_MAX: usize = 1_024;

/// Names that may have an answer.
const REPLIES_MAX: usize = 1_024;

/// Complaints that are kept; of further ones only their number.
const COMPLAINTS_MAX: usize = 100;

/// Messages and complaints that an error lists.
const LISTED_MAX: usize = 20;

/// What happened since the start or the last reset.
#[derive(Default)]
pub(super) struct Record {
    received: Vec<Message>,
    complaints: Vec<String>,
    complaints_more: usize,
    services: Vec<Known>,
    replies: Vec<(MessageName, Reply)>,
    /// The status with which the last message that was sent over HTTP was answered.
    pub(super) last_response_code: Option<u16>,
}

/// Somebody who can be sent messages.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) role: Role,
    pub(super) instance: Option<InstanceId>,
    pub(super) origin: Origin,
    pub(super) way: Way,
}

/// How a service became known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The test said so.
    Test,
    /// It registered, over HTTP or a WebSocket.
    Itself,
}

/// How a service is reached.
#[derive(Clone)]
pub(super) enum Way {
    /// By `POST {url}/run/{name}`.
    Http { url: String },
    /// By its own connection.
    Socket { connection: u64, dialect: Dialect, frames: mpsc::Sender<Bytes> },
}

impl Way {
    fn is_connection(&self, number: u64) -> bool {
        match self {
            Self::Http { .. } => false,
            Self::Socket { connection, .. } => *connection == number,
        }
    }
}

/// What a message of some name is answered with.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) name: MessageName,
    pub(super) payload: Option<Payload>,
}

impl Record {
    /// Keeps a message. `false` if there is no room, which is also a complaint.
    pub(super) fn receive(&mut self, message: Message) -> bool {
        if self.received.len() >= MESSAGES_MAX {
            self.complain(format!("'{}' had no place: at most {MESSAGES_MAX} messages are kept", message.name));
            return false;
        }
        self.received.push(message);
        true
    }

    pub(super) fn received(&self) -> &[Message] {
        &self.received
    }

    /// Notes something that a test should hear of when it fails.
    pub(super) fn complain(&mut self, complaint: String) {
        match self.complaints.len() < COMPLAINTS_MAX {
            true => self.complaints.push(complaint),
            false => self.complaints_more += 1,
        }
    }

    /// Forgets what was received. Services and answers stay.
    pub(super) fn reset(&mut self) {
        self.received.clear();
        self.complaints.clear();
        self.complaints_more = 0;
        self.last_response_code = None;
    }

    /// Adds a service, in place of what it said of itself before. Errors: [`Error::Full`].
    pub(super) fn add(&mut self, service: Known) -> Result<(), Error> {
        self.services.retain(|known| !is_same(known, &service));
        if self.services.len() >= SERVICES_MAX {
            return Err(Error::Full { what: "services", max: SERVICES_MAX });
        }
        self.services.push(service);
        Ok(())
    }

    /// `false` if there is no such instance of this role.
    pub(super) fn remove(&mut self, role: &Role, instance: &InstanceId) -> bool {
        let before = self.services.len();
        self.services.retain(|known| known.role != *role || known.instance.as_ref() != Some(instance));
        self.services.len() < before
    }

    pub(super) fn disconnected(&mut self, connection: u64) {
        self.services.retain(|known| !known.way.is_connection(connection));
    }

    /// Forgets whoever registered itself.
    pub(super) fn forget_registered(&mut self) {
        self.services.retain(|known| known.origin == Origin::Test);
    }

    pub(super) fn forget_all(&mut self) {
        self.services.clear();
    }

    pub(super) fn services(&self) -> &[Known] {
        &self.services
    }

    /// The newest service of a role.
    pub(super) fn find(&self, role: &Role) -> Option<&Known> {
        self.services.iter().rev().find(|known| known.role == *role)
    }

    pub(super) fn find_instance(&self, instance: &InstanceId) -> Option<&Known> {
        self.services.iter().find(|known| known.instance.as_ref() == Some(instance))
    }

    pub(super) fn find_connection(&self, connection: u64) -> Option<&Known> {
        self.services.iter().rev().find(|known| known.way.is_connection(connection))
    }

    /// Sets what messages called `name` are answered with. Errors: [`Error::Full`].
    pub(super) fn answer(&mut self, name: MessageName, reply: Reply) -> Result<(), Error> {
        self.replies.retain(|(known, _)| *known != name);
        if self.replies.len() >= REPLIES_MAX {
            return Err(Error::Full { what: "answers", max: REPLIES_MAX });
        }
        self.replies.push((name, reply));
        Ok(())
    }

    pub(super) fn answer_to(&self, name: &MessageName) -> Option<&Reply> {
        self.replies.iter().find(|(known, _)| known == name).map(|(_, reply)| reply)
    }

    /// For people whose test failed: what came, and what was wrong with what came.
    pub(super) fn summary(&self) -> String {
        let describe = |message: &Message| match &message.sender {
            Some(sender) => format!("'{}' from '{sender}'", message.name),
            None => format!("'{}'", message.name),
        };
        let received: Vec<String> = self.received.iter().map(describe).collect();
        let mut text = listed("received", &received, 0);
        let roles: Vec<String> = self.services.iter().map(|known| format!("'{}'", known.role)).collect();
        write!(text, "; {}", listed("known services", &roles, 0)).expect("writing to a string cannot fail");
        if !self.complaints.is_empty() {
            let complaints = listed("went wrong", &self.complaints, self.complaints_more);
            write!(text, "; {complaints}").expect("writing to a string cannot fail");
        }
        text
    }
}

/// Whether one entry replaces the other: a connection or an instance has a role once, and so has the test.
fn is_same(known: &Known, new: &Known) -> bool {
    let same_place = match (&known.way, &new.way) {
        (Way::Socket { connection: one, .. }, Way::Socket { connection: other, .. }) => one == other,
        (Way::Http { .. }, Way::Http { .. }) => known.instance == new.instance,
        (Way::Socket { .. }, Way::Http { .. }) | (Way::Http { .. }, Way::Socket { .. }) => false,
    };
    known.role == new.role && same_place
}

/// `received: 'a', 'b'`, the first ones only.
fn listed(what: &str, items: &[String], more: usize) -> String {
    if items.is_empty() {
        return format!("{what}: none");
    }
    let shown = items[..items.len().min(LISTED_MAX)].join(", ");
    match items.len().saturating_sub(LISTED_MAX) + more {
        0 => format!("{what}: {shown}"),
        hidden => format!("{what}: {shown} and {hidden} more"),
    }
}
