//! Bounded queue of messages that could not be handled or sent.

use std::collections::VecDeque;
use std::fmt;
use std::time::SystemTime;

use crate::message::{Message, MessageId};

/// Identifier of a dead letter: counted from 1, unique within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadLetterId(pub u64);

impl fmt::Display for DeadLetterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// Direction in which a message travelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the bus to the service.
    Incoming,
    /// From the service to the bus.
    Outgoing,
}

/// A message that could not be handled or sent, with the reason.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Identifier, as `POST /dead-letters/{id}/replay` takes it.
    pub id: DeadLetterId,
    /// The message, unchanged.
    pub message: Message,
    /// Direction in which it travelled.
    pub direction: Direction,
    /// Reason of the failure, for people.
    pub reason: String,
    /// Time at which it became a dead letter.
    pub at: SystemTime,
}

/// The latest dead letters. At the limit the oldest is dropped, and [`DeadLetterQueue::push`] returns its id.
pub(crate) struct DeadLetterQueue {
    letters: VecDeque<DeadLetter>,
    letters_max: usize,
    next: u64,
}

impl DeadLetterQueue {
    pub(crate) fn new(letters_max: usize) -> Self {
        Self { letters: VecDeque::new(), letters_max, next: 1 }
    }

    /// Appends a message. Returns the id of its dead letter, and that of the oldest message if it was dropped to make space.
    pub(crate) fn push(
        &mut self,
        message: Message,
        direction: Direction,
        reason: String,
        at: SystemTime,
    ) -> (DeadLetterId, Option<MessageId>) {
        let id = DeadLetterId(self.next);
        self.letters.push_back(DeadLetter { id, message, direction, reason, at });
        self.next += 1;
        if self.letters.len() <= self.letters_max {
            return (id, None);
        }
        (id, self.letters.pop_front().map(|oldest| oldest.message.id))
    }

    pub(crate) fn len(&self) -> usize {
        self.letters.len()
    }

    /// Removes a dead letter, to replay or discard it.
    pub(crate) fn take(&mut self, id: DeadLetterId) -> Option<DeadLetter> {
        let index = self.letters.iter().position(|letter| letter.id == id)?;
        self.letters.remove(index)
    }

    /// Returns a dead letter to its original position, after it could not be replayed.
    pub(crate) fn put_back(&mut self, letter: DeadLetter) {
        let index = self.letters.partition_point(|other| other.id < letter.id);
        self.letters.insert(index, letter);
    }

    /// Returns all dead letters, oldest first.
    pub(crate) fn list(&self) -> Vec<DeadLetter> {
        self.letters.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageName;

    fn push(letters: &mut DeadLetterQueue, id: &str) -> Option<MessageId> {
        let message = Message::new(MessageId::parse(id).unwrap(), MessageName::parse("hello").unwrap());
        letters.push(message, Direction::Incoming, "refused".into(), SystemTime::UNIX_EPOCH).1
    }

    fn ids(letters: &DeadLetterQueue) -> Vec<u64> {
        letters.list().iter().map(|letter| letter.id.0).collect()
    }

    #[test]
    fn at_the_limit_the_oldest_is_dropped_and_returned() {
        let mut letters = DeadLetterQueue::new(2);
        assert_eq!([push(&mut letters, "a"), push(&mut letters, "b")], [None, None]);
        assert_eq!(push(&mut letters, "c").unwrap().as_str(), "a");
        assert_eq!(ids(&letters), [2, 3]);
    }

    #[test]
    fn a_letter_that_is_put_back_returns_to_its_position() {
        let mut letters = DeadLetterQueue::new(9);
        for id in ["a", "b", "c"] {
            push(&mut letters, id);
        }
        let taken = letters.take(DeadLetterId(2)).unwrap();
        assert_eq!(ids(&letters), [1, 3]);
        letters.put_back(taken);
        assert_eq!(ids(&letters), [1, 2, 3]);
    }
}
