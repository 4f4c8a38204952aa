//! Bounded queue of messages that could not be handled or sent.

use std::collections::VecDeque;
use std::fmt;
use std::time::SystemTime;

use crate::memory::Share;
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

/// Length at which a reason is cut off.
const REASON_BYTES_MAX: usize = 4 * 1024;

/// The latest dead letters. At the limits the oldest are dropped, and [`DeadLetterQueue::push`] returns their ids.
pub(crate) struct DeadLetterQueue {
    letters: VecDeque<DeadLetter>,
    letters_max: usize,
    bytes: Share,
    next: u64,
}

/// Part of the dead letters, oldest first.
#[derive(Debug)]
pub(crate) struct DeadLetterPage {
    pub(crate) letters: Vec<DeadLetter>,
    /// True if there are letters behind it.
    pub(crate) has_more: bool,
}

impl DeadLetter {
    fn memory_bytes(&self) -> usize {
        self.message.memory_bytes() + self.reason.len()
    }
}

impl DeadLetterQueue {
    pub(crate) fn new(letters_max: usize, bytes: Share) -> Self {
        Self { letters: VecDeque::new(), letters_max, bytes, next: 1 }
    }

    /// Appends a message. Returns the id of its dead letter, and those of the oldest messages that were dropped to make space.
    /// The new one stays, whatever its size.
    pub(crate) fn push(
        &mut self,
        message: Message,
        direction: Direction,
        mut reason: String,
        at: SystemTime,
    ) -> (DeadLetterId, Vec<MessageId>) {
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        let id = DeadLetterId(self.next);
        let letter = DeadLetter { id, message, direction, reason, at };
        self.next += 1;
        let mut lost = Vec::new();
        while self.letters.len() >= self.letters_max || self.bytes.check_own(letter.memory_bytes()).is_err() {
            let Some(oldest) = self.letters.pop_front() else { break };
            self.bytes.remove(oldest.memory_bytes());
            lost.push(oldest.message.id);
        }
        self.bytes.add(letter.memory_bytes());
        self.letters.push_back(letter);
        (id, lost)
    }

    pub(crate) fn len(&self) -> usize {
        self.letters.len()
    }

    /// Removes a dead letter, to replay or discard it.
    pub(crate) fn take(&mut self, id: DeadLetterId) -> Option<DeadLetter> {
        let index = self.position(id)?;
        let letter = self.letters.remove(index)?;
        self.bytes.remove(letter.memory_bytes());
        Some(letter)
    }

    /// Returns a dead letter to its original position, after it could not be replayed.
    pub(crate) fn put_back(&mut self, letter: DeadLetter) {
        let index = self.letters.partition_point(|other| other.id < letter.id);
        self.bytes.add(letter.memory_bytes());
        self.letters.insert(index, letter);
    }

    /// Returns a dead letter.
    pub(crate) fn get(&self, id: DeadLetterId) -> Option<&DeadLetter> {
        self.position(id).map(|index| &self.letters[index])
    }

    /// Returns the oldest dead letters after `after`: at most `letters_max`, and at most `bytes_max`, but one at least.
    pub(crate) fn page(&self, after: Option<DeadLetterId>, letters_max: usize, bytes_max: usize) -> DeadLetterPage {
        let first = after.map_or(0, |after| self.letters.partition_point(|letter| letter.id <= after));
        let mut bytes = 0;
        let fits = |letter: &&DeadLetter| {
            let is_first = bytes == 0;
            bytes += letter.memory_bytes();
            is_first || bytes <= bytes_max
        };
        let letters: Vec<_> = self.letters.range(first..).take(letters_max).take_while(fits).cloned().collect();
        let has_more = first + letters.len() < self.letters.len();
        DeadLetterPage { letters, has_more }
    }

    /// Returns all dead letters, oldest first.
    pub(crate) fn list(&self) -> Vec<DeadLetter> {
        self.letters.iter().cloned().collect()
    }

    fn position(&self, id: DeadLetterId) -> Option<usize> {
        self.letters.binary_search_by_key(&id, |letter| letter.id).ok()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::memory::Budget;
    use crate::message::{MessageName, Payload};

    const KIB: usize = 1024;

    fn queue(letters_max: usize, bytes_max: usize) -> DeadLetterQueue {
        DeadLetterQueue::new(letters_max, Share::new(&Budget::default(), bytes_max))
    }

    fn push(letters: &mut DeadLetterQueue, id: &str) -> Vec<String> {
        push_with(letters, id, 2)
    }

    fn push_with(letters: &mut DeadLetterQueue, id: &str, payload_bytes: usize) -> Vec<String> {
        let mut message = Message::new(MessageId::parse(id).unwrap(), MessageName::parse("hello").unwrap());
        let text = format!("\"{}\"", "x".repeat(payload_bytes.max(2) - 2));
        message.payload = Payload::parse(Bytes::from(text)).ok();
        let lost = letters.push(message, Direction::Incoming, "refused".into(), SystemTime::UNIX_EPOCH).1;
        lost.iter().map(ToString::to_string).collect()
    }

    fn ids(letters: &DeadLetterQueue) -> Vec<u64> {
        letters.list().iter().map(|letter| letter.id.0).collect()
    }

    #[test]
    fn at_the_limit_the_oldest_is_dropped_and_returned() {
        let mut letters = queue(2, usize::MAX);
        assert_eq!([push(&mut letters, "a"), push(&mut letters, "b")], [[""; 0]; 2]);
        assert_eq!(push(&mut letters, "c"), ["a"]);
        assert_eq!(ids(&letters), [2, 3]);
    }

    #[test]
    fn at_the_limit_in_bytes_the_oldest_are_dropped_but_never_the_newest() {
        let mut letters = queue(9, 10 * KIB);
        for id in ["a", "b", "c"] {
            assert!(push_with(&mut letters, id, 2 * KIB).is_empty());
        }
        assert_eq!(push_with(&mut letters, "d", 6 * KIB), ["a", "b"]);
        assert_eq!(push_with(&mut letters, "e", 100 * KIB), ["c", "d"]);
        assert_eq!(push_with(&mut letters, "f", 2), ["e"]);
        assert_eq!(ids(&letters), [6]);
        letters.take(DeadLetterId(6)).unwrap();
        assert_eq!(letters.bytes.held(), 0);
    }

    #[test]
    fn none_is_lost_because_the_queues_of_the_process_are_full() {
        let budget = Budget::new(KIB);
        let mut letters = DeadLetterQueue::new(9, Share::new(&budget, 10 * KIB));
        for id in ["a", "b", "c"] {
            assert!(push_with(&mut letters, id, KIB).is_empty());
        }
        assert_eq!(ids(&letters), [1, 2, 3]);
    }

    #[test]
    fn a_long_reason_is_cut_off() {
        let mut letters = queue(9, usize::MAX);
        let message = Message::new(MessageId::parse("a").unwrap(), MessageName::parse("hello").unwrap());
        letters.push(message, Direction::Incoming, "ü".repeat(KIB * KIB), SystemTime::UNIX_EPOCH);
        assert_eq!(letters.get(DeadLetterId(1)).unwrap().reason.len(), REASON_BYTES_MAX);
    }

    proptest! {
        /// Pages one after the other are the whole list, whatever is removed in between.
        #[test]
        fn pages_return_each_letter_once(
            sizes in proptest::collection::vec(2..5_000_usize, 0..20),
            taken in proptest::collection::vec(1..20_u64, 0..5),
            letters_max in 1..6_usize,
            bytes_max in 1..9_000_usize,
        ) {
            let mut letters = queue(100, usize::MAX);
            sizes.iter().for_each(|bytes| drop(push_with(&mut letters, "a", *bytes)));
            taken.iter().for_each(|id| drop(letters.take(DeadLetterId(*id))));
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = letters.page(after, letters_max, bytes_max);
                let bytes: usize = page.letters.iter().map(DeadLetter::memory_bytes).sum();
                prop_assert!(page.letters.len() <= letters_max && (bytes <= bytes_max || page.letters.len() == 1));
                seen.extend(page.letters.iter().map(|letter| letter.id.0));
                after = page.letters.last().map(|letter| letter.id).or(after);
                if !page.has_more {
                    break;
                }
                prop_assert!(!page.letters.is_empty());
            }
            prop_assert_eq!(seen, ids(&letters));
        }
    }

    #[test]
    fn a_letter_that_is_put_back_returns_to_its_position() {
        let mut letters = queue(9, usize::MAX);
        for id in ["a", "b", "c"] {
            push(&mut letters, id);
        }
        let taken = letters.take(DeadLetterId(2)).unwrap();
        assert_eq!(ids(&letters), [1, 3]);
        letters.put_back(taken);
        assert_eq!(ids(&letters), [1, 2, 3]);
    }
}
