//! Messages that could not be handled or sent, kept for a person to look at and to try again.

use std::collections::VecDeque;
use std::fmt;
use std::time::SystemTime;

use crate::message::{Message, MessageId};

/// Names one dead letter: counted up from 1 for as long as the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadLetterId(pub u64);

impl fmt::Display for DeadLetterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// Which way the message was going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the bus to the service.
    Incoming,
    /// From the service to the bus.
    Outgoing,
}

/// One message that went nowhere, and why.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// What `POST /dead-letters/{id}/replay` takes.
    pub id: DeadLetterId,
    /// The message as it was.
    pub message: Message,
    /// Which way it was going.
    pub direction: Direction,
    /// Why it did not get there, in words.
    pub reason: String,
    /// When it was given up.
    pub at: SystemTime,
}

/// The last dead letters. At the bound the oldest gives way; [`DeadLetters::push`] says so.
pub(crate) struct DeadLetters {
    letters: VecDeque<DeadLetter>,
    letters_max: usize,
    next: u64,
}

impl DeadLetters {
    pub(crate) fn new(letters_max: usize) -> Self {
        Self { letters: VecDeque::new(), letters_max, next: 1 }
    }

    /// Keeps the message. Answers the id of the oldest one, if that had to give way.
    pub(crate) fn push(
        &mut self,
        message: Message,
        direction: Direction,
        reason: String,
        at: SystemTime,
    ) -> Option<MessageId> {
        self.letters.push_back(DeadLetter { id: DeadLetterId(self.next), message, direction, reason, at });
        self.next += 1;
        if self.letters.len() <= self.letters_max {
            return None;
        }
        self.letters.pop_front().map(|oldest| oldest.message.id)
    }

    /// Takes one out, to be tried again or thrown away.
    pub(crate) fn take(&mut self, id: DeadLetterId) -> Option<DeadLetter> {
        let place = self.letters.iter().position(|letter| letter.id == id)?;
        self.letters.remove(place)
    }

    /// Puts one back that could not be tried again after all.
    pub(crate) fn put_back(&mut self, letter: DeadLetter) {
        let place = self.letters.partition_point(|kept| kept.id < letter.id);
        self.letters.insert(place, letter);
    }

    /// All of them, oldest first.
    pub(crate) fn list(&self) -> Vec<DeadLetter> {
        self.letters.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageName;

    fn push(letters: &mut DeadLetters, id: &str) -> Option<MessageId> {
        let message = Message::new(MessageId::parse(id).unwrap(), MessageName::parse("hello").unwrap());
        letters.push(message, Direction::Incoming, "refused".into(), SystemTime::UNIX_EPOCH)
    }

    fn ids(letters: &DeadLetters) -> Vec<u64> {
        letters.list().iter().map(|letter| letter.id.0).collect()
    }

    #[test]
    fn at_the_bound_the_oldest_gives_way_and_is_named() {
        let mut letters = DeadLetters::new(2);
        assert_eq!([push(&mut letters, "a"), push(&mut letters, "b")], [None, None]);
        assert_eq!(push(&mut letters, "c").unwrap().as_str(), "a");
        assert_eq!(ids(&letters), [2, 3]);
    }

    #[test]
    fn a_letter_that_is_put_back_stands_where_it_stood() {
        let mut letters = DeadLetters::new(9);
        for id in ["a", "b", "c"] {
            push(&mut letters, id);
        }
        let taken = letters.take(DeadLetterId(2)).unwrap();
        assert_eq!(ids(&letters), [1, 3]);
        letters.put_back(taken);
        assert_eq!(ids(&letters), [1, 2, 3]);
    }
}
