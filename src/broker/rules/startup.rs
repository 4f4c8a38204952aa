//! Messages accepted while the broker has just started and services may not have registered again yet.
//!
//! Without this, a restart of the broker would lose the messages sent before all receivers are back.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::bytes_of;
use crate::memory::{Budget, Share};
use crate::message::{InstanceId, Message, MessageName, Role};

/// The startup period and the messages of that period. Roles that register during it get the messages they missed.
pub(crate) struct Startup {
    period: Duration,
    /// True from the first message on.
    is_started: bool,
    /// End of the period; `None` before its start and after its end.
    ends: Option<Instant>,
    messages: VecDeque<EarlyMessage>,
    messages_max: usize,
    bytes: usize,
    bytes_max: usize,
    /// Of all these messages, with their texts.
    memory: Share,
}

/// A message of the startup period.
#[derive(Debug, Clone)]
pub(crate) struct EarlyMessage {
    pub(crate) message: Message,
    pub(crate) public: MessageName,
    pub(crate) origin: Option<InstanceId>,
    pub(crate) accepted: Instant,
    /// The roles that have it already.
    pub(crate) roles: Vec<Role>,
}

impl Startup {
    /// `period` counts from the first message; zero disables it. Holds at most `messages_max` messages
    /// of `bytes_max` bytes.
    pub(crate) fn new(period: Duration, messages_max: usize, bytes_max: usize, memory: &Budget) -> Self {
        let (messages, memory) = (VecDeque::new(), Share::new(memory, usize::MAX));
        Self { period, is_started: false, ends: None, messages, messages_max, bytes: 0, bytes_max, memory }
    }

    /// Returns true during the period; starts it if necessary.
    pub(crate) fn is_in_progress(&mut self, now: Instant) -> bool {
        if !self.is_started {
            self.is_started = true;
            self.ends = Some(now + self.period).filter(|_| !self.period.is_zero());
        }
        self.ends.is_some_and(|ends| now < ends)
    }

    /// Returns true during the period, and before it.
    pub(crate) fn may_be_in_progress(&self, now: Instant) -> bool {
        match self.is_started {
            false => !self.period.is_zero(),
            true => self.ends.is_some_and(|ends| now < ends),
        }
    }

    /// Holds a message for roles that register later in the period. Returns false if the limits are reached.
    pub(crate) fn hold(&mut self, message: EarlyMessage) -> bool {
        let bytes = self.bytes.saturating_add(bytes_of(&message.message));
        let fits = self.messages.len() < self.messages_max && bytes <= self.bytes_max;
        let fits = fits && self.memory.try_add(message.message.memory_bytes()).is_ok();
        if fits {
            self.bytes = bytes;
            self.messages.push_back(message);
        }
        fits
    }

    /// Returns the messages that `role` has missed among those it `receives`, oldest first, and marks it as having them.
    pub(crate) fn missed(&mut self, role: &Role, receives: impl Fn(&MessageName) -> bool) -> Vec<EarlyMessage> {
        let mut missed = Vec::new();
        for message in &mut self.messages {
            if receives(&message.public) && !message.roles.contains(role) {
                message.roles.push(role.clone());
                missed.push(message.clone());
            }
        }
        missed
    }

    /// Ends the period when it is time. Returns the messages for which no receiver has registered.
    pub(crate) fn finish(&mut self, now: Instant) -> Vec<EarlyMessage> {
        if self.ends.is_none_or(|ends| now < ends) {
            return Vec::new();
        }
        self.ends = None;
        self.bytes = 0;
        self.memory.remove(self.memory.held());
        std::mem::take(&mut self.messages).into_iter().filter(|message| message.roles.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageId;

    const PERIOD: Duration = Duration::from_secs(5);

    fn role(text: &str) -> Role {
        Role::parse(text).unwrap()
    }

    fn name(text: &str) -> MessageName {
        MessageName::parse(text).unwrap()
    }

    fn early(text: &str, now: Instant) -> EarlyMessage {
        let message = Message::new(MessageId::parse("1").unwrap(), name(text));
        EarlyMessage { message, public: name(text), origin: None, accepted: now, roles: Vec::new() }
    }

    #[test]
    fn a_role_that_registers_late_gets_the_messages_it_missed_once() {
        let (mut startup, now) = (Startup::new(PERIOD, 9, 99, &Budget::default()), Instant::now());
        assert!(startup.is_in_progress(now));
        assert!(startup.hold(early("hello", now)));
        let missed = |startup: &mut Startup| startup.missed(&role("users"), |public| public.as_str() == "hello").len();
        assert_eq!([missed(&mut startup), missed(&mut startup)], [1, 0]);
        assert!(startup.finish(now + PERIOD).is_empty());
    }

    #[test]
    fn a_message_without_receivers_is_returned_at_the_end_of_the_period() {
        let (mut startup, now) = (Startup::new(PERIOD, 1, 99, &Budget::default()), Instant::now());
        assert!(startup.is_in_progress(now));
        assert!(startup.hold(early("hello", now)));
        assert!(!startup.hold(early("hello", now)));
        assert!(startup.finish(now).is_empty());
        assert_eq!(startup.finish(now + PERIOD).len(), 1);
        assert!(!startup.is_in_progress(now + PERIOD));
    }

    #[test]
    fn a_period_of_zero_is_over_at_once() {
        assert!(!Startup::new(Duration::ZERO, 9, 99, &Budget::default()).is_in_progress(Instant::now()));
    }
}
