//! What is done with the messages of the other end: they are published in their order, whatever room there is.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Acks;
use crate::broker::member::Member;
use crate::message::{Message, Verdict};

/// How soon a message is tried again whose receivers have no room, if its sender cannot be told.
pub(super) const STALL_RETRY: Duration = Duration::from_millis(20);

/// Publishes in the name of a member.
pub(super) struct Intake {
    acks: Acks,
    /// How long a message is tried whose sender cannot be told.
    patience: Duration,
    /// Verdicts that are not sent yet.
    verdicts: Vec<Verdict>,
    /// What a message was told for which there is no room. What its sender sent behind it, before it read so, has none
    /// either: all of it comes again, in order, once the sender has said that it begins anew.
    held_up: Option<Verdict>,
    stalled: Option<(Message, Instant)>,
}

impl Intake {
    pub(super) fn new(acks: Acks, patience: Duration) -> Self {
        Self { acks, patience, verdicts: Vec::new(), held_up: None, stalled: None }
    }

    /// Takes the next message.
    pub(super) fn take(&mut self, member: &Member, message: Message) {
        match self.acks {
            Acks::Each => {
                let verdict = self.publish(member, message);
                self.verdicts.push(verdict);
            }
            Acks::None => self.publish_or_stall(member, message, Instant::now() + self.patience),
        }
    }

    /// The other end has read that there was no room; what follows is judged anew.
    pub(super) fn begin_anew(&mut self) {
        self.held_up = None;
    }

    /// Answers that a registration counts, where the other end wants to know.
    pub(super) fn registered(&mut self) {
        if self.acks == Acks::Each {
            self.verdicts.push(Verdict::Accepted);
        }
    }

    /// Answers a frame that is nothing, where the other end wants to know.
    pub(super) fn unreadable(&mut self, detail: String) {
        if self.acks == Acks::Each {
            self.verdicts.push(Verdict::Refused { detail });
        }
    }

    /// The answers that are due, as one frame.
    pub(super) fn answers(&mut self) -> Option<Bytes> {
        let verdicts = std::mem::take(&mut self.verdicts);
        (!verdicts.is_empty()).then(|| Verdict::list_to_json(&verdicts))
    }

    /// Whether a message waits for room, so that nothing behind it may be read.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// Tries the message that waits for room.
    pub(super) fn retry(&mut self, member: &Member) {
        if let Some((message, until)) = self.stalled.take() {
            self.publish_or_stall(member, message, until);
        }
    }

    /// The last try for the message that waits for room; it is reported if there is none.
    pub(super) fn finish(&mut self, member: &Member) {
        if let Some((message, _)) = self.stalled.take() {
            self.publish_or_stall(member, message, Instant::now());
        }
    }

    fn publish(&mut self, member: &Member, message: Message) -> Verdict {
        if let Some(verdict) = &self.held_up {
            return verdict.clone();
        }
        let verdict = member.publish(message);
        self.held_up = Some(verdict.clone()).filter(|verdict| matches!(verdict, Verdict::Busy { .. }));
        verdict
    }

    /// The sender cannot be told to wait, so it is not read until there is room, or too much time has passed.
    fn publish_or_stall(&mut self, member: &Member, message: Message, until: Instant) {
        let name = message.name.clone();
        match member.publish(message.clone()) {
            // Of what is forbidden the broker itself takes note.
            Verdict::Accepted | Verdict::Forbidden { .. } => {}
            Verdict::NoReceivers => tracing::warn!(%name, "no receivers for a message of the WebSocket era"),
            Verdict::Refused { detail } => tracing::warn!(%name, detail, "a message is refused"),
            Verdict::Busy { .. } if Instant::now() < until => self.stalled = Some((message, until)),
            Verdict::Busy { .. } => member.overflow(message),
        }
    }
}
