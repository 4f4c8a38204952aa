//! Messages from the other end: published in order of their names, and held back while their receivers are full.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::broker::member::{Acks, Member};
use crate::message::{HeldNames, Message, Verdict};

/// Time between attempts to publish a message whose receivers are full, if its sender cannot be told so.
const STALL_RETRY: Duration = Duration::from_millis(20);

/// Publishes the messages of one member.
pub(super) struct Intake {
    acks: Acks,
    /// Time for which a message is retried if its sender cannot be told that the receivers are full.
    stall_timeout: Duration,
    /// Verdicts that are not sent yet.
    verdicts: Vec<Verdict>,
    /// Names of messages whose receivers were full. Messages of these names that the sender sent before it read that get
    /// the same verdict, so that their order is kept; it ends when the sender says that it sends them again.
    held: HeldNames,
    stalled: Option<Stalled>,
}

/// A message whose receivers are full and whose sender cannot be told so.
struct Stalled {
    message: Message,
    retry_at: Instant,
    give_up_at: Instant,
}

impl Intake {
    pub(super) fn new(acks: Acks, stall_timeout: Duration) -> Self {
        Self { acks, stall_timeout, verdicts: Vec::new(), held: HeldNames::default(), stalled: None }
    }

    /// Takes the next message.
    pub(super) fn take(&mut self, member: &Member, message: Message, now: Instant) {
        match self.acks {
            Acks::Each => {
                let verdict = self.publish(member, message);
                self.verdicts.push(verdict);
            }
            Acks::None => self.publish_or_stall(member, message, now, now + self.stall_timeout),
        }
    }

    /// The other end has read that receivers were full, and sends its messages again from there.
    pub(super) fn resume(&mut self) {
        self.held.clear();
    }

    /// Answers a registration, if the other end expects answers.
    pub(super) fn registered(&mut self) {
        if self.acks == Acks::Each {
            self.verdicts.push(Verdict::Accepted);
        }
    }

    /// Answers an unreadable frame, if the other end expects answers.
    pub(super) fn unreadable(&mut self, detail: String) {
        if self.acks == Acks::Each {
            self.verdicts.push(Verdict::Refused { detail });
        }
    }

    /// Takes the answers that are due, as one frame.
    pub(super) fn answers(&mut self) -> Option<Bytes> {
        let verdicts = std::mem::take(&mut self.verdicts);
        (!verdicts.is_empty()).then(|| Verdict::list_to_json(&verdicts))
    }

    /// Returns true while a message waits for its receivers, so that nothing behind it may be read.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// Returns the time of the next attempt for the stalled message.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.stalled.as_ref().map(|stalled| stalled.retry_at)
    }

    /// Tries the stalled message again, if it is time.
    pub(super) fn retry(&mut self, member: &Member, now: Instant) {
        if let Some(stalled) = self.stalled.take_if(|stalled| stalled.retry_at <= now) {
            self.publish_or_stall(member, stalled.message, now, stalled.give_up_at);
        }
    }

    /// Tries the stalled message for the last time, and gives it up if its receivers are still full.
    pub(super) fn finish(&mut self, member: &Member, now: Instant) {
        if let Some(stalled) = self.stalled.take() {
            self.publish_or_stall(member, stalled.message, now, now);
        }
    }

    fn publish(&mut self, member: &Member, message: Message) -> Verdict {
        let name = message.name.clone();
        self.held.publish(&name, || member.publish(message))
    }

    /// The sender cannot be told to wait, so nothing more is read from it until the receivers are free or too much time
    /// has passed.
    fn publish_or_stall(&mut self, member: &Member, message: Message, now: Instant, give_up_at: Instant) {
        let name = message.name.clone();
        match member.publish(message.clone()) {
            // The broker itself logs forbidden messages.
            Verdict::Accepted | Verdict::Forbidden { .. } => {}
            Verdict::NoReceivers => tracing::warn!(%name, "no receivers for a message of the WebSocket era"),
            Verdict::Refused { detail } => tracing::warn!(%name, detail, "a message is refused"),
            Verdict::Busy { .. } if now < give_up_at => {
                self.stalled = Some(Stalled { message, retry_at: now + STALL_RETRY, give_up_at });
            }
            Verdict::Busy { .. } => member.overflow(message),
        }
    }
}
