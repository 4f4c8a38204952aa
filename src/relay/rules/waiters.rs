//! Who waits for the reply to which message.

use std::collections::{HashMap, VecDeque};

use crate::message::MessageId;

/// All places are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// Waiters by the id of the message they wait for a reply to. Bounded; a place is freed when its owner says so, and the
/// owner is a guard that says so when it is dropped.
pub(crate) struct Waiters<W> {
    waiting: HashMap<MessageId, W>,
    waiting_max: usize,
    ended: HashMap<MessageId, Told>,
    ended_order: VecDeque<MessageId>,
}

/// Whether the log has heard of a late reply to this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    No,
    Yes,
}

/// What a late reply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// The first one for its request: worth a line in the log.
    First,
    /// One more.
    Again,
}

impl<W> Waiters<W> {
    pub(crate) fn new(waiting_max: usize) -> Self {
        Self { waiting: HashMap::new(), waiting_max, ended: HashMap::new(), ended_order: VecDeque::new() }
    }

    /// Takes a place. A second waiter for one id takes over from the first, as a repeated request does.
    pub(crate) fn insert(&mut self, id: MessageId, waiter: W) -> Result<(), Full> {
        if self.waiting.len() >= self.waiting_max && !self.waiting.contains_key(&id) {
            return Err(Full);
        }
        self.waiting.insert(id, waiter);
        Ok(())
    }

    pub(crate) fn get(&self, id: &MessageId) -> Option<&W> {
        self.waiting.get(id)
    }

    /// Frees the place, and remembers for a while that there was one, so that a late reply is told from a stray one.
    pub(crate) fn remove(&mut self, id: &MessageId) -> Option<W> {
        let waiter = self.waiting.remove(id)?;
        if self.ended.insert(id.clone(), Told::No).is_none() {
            self.ended_order.push_back(id.clone());
        }
        while self.ended_order.len() > self.waiting_max {
            if let Some(oldest) = self.ended_order.pop_front() {
                self.ended.remove(&oldest);
            }
        }
        Some(waiter)
    }

    /// Whether this id is that of a request which has ended; `None` for ids that were never waited for, or long ago.
    pub(crate) fn late(&mut self, id: &MessageId) -> Option<Late> {
        let told = self.ended.get_mut(id)?;
        match std::mem::replace(told, Told::Yes) {
            Told::No => Some(Late::First),
            Told::Yes => Some(Late::Again),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> MessageId {
        MessageId::parse(text).unwrap()
    }

    #[test]
    fn places_are_bounded_and_freed() {
        let mut waiters = Waiters::new(1);
        assert_eq!(waiters.insert(id("a"), 1), Ok(()));
        assert_eq!(waiters.insert(id("b"), 2), Err(Full));
        assert_eq!(waiters.remove(&id("a")), Some(1));
        assert_eq!(waiters.insert(id("b"), 2), Ok(()));
        assert_eq!(waiters.len(), 1);
    }

    #[test]
    fn a_repeated_request_takes_over_its_own_place() {
        let mut waiters = Waiters::new(1);
        waiters.insert(id("a"), 1).unwrap();
        assert_eq!(waiters.insert(id("a"), 2), Ok(()));
        assert_eq!(waiters.get(&id("a")), Some(&2));
    }

    #[test]
    fn a_late_reply_is_told_from_a_stray_one_and_is_news_once() {
        let mut waiters = Waiters::new(2);
        waiters.insert(id("a"), ()).unwrap();
        assert_eq!(waiters.late(&id("a")), None);
        waiters.remove(&id("a"));
        assert_eq!(waiters.late(&id("a")), Some(Late::First));
        assert_eq!(waiters.late(&id("a")), Some(Late::Again));
        assert_eq!(waiters.late(&id("never")), None);
    }

    #[test]
    fn the_memory_of_ended_requests_is_bounded() {
        let mut waiters = Waiters::new(2);
        for n in 0..100 {
            waiters.insert(id(&n.to_string()), ()).unwrap();
            waiters.remove(&id(&n.to_string()));
        }
        assert_eq!((waiters.ended.len(), waiters.ended_order.len()), (2, 2));
    }
}
