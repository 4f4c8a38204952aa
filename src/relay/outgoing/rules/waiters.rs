//! Table of waiting requests, by the id of the request.

use std::collections::{HashMap, VecDeque};

use crate::message::MessageId;

/// The table has no free entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// Waiters by the id of the message whose reply they wait for. Bounded. Entries are removed by their owner, a guard that
/// does so when it is dropped.
pub(crate) struct Waiters<W> {
    waiting: HashMap<MessageId, W>,
    waiting_max: usize,
    /// Requests that have ended, with whether a late reply to them was logged.
    ended: HashMap<MessageId, Logged>,
    ended_order: VecDeque<MessageId>,
}

/// Marks whether a late reply to a request was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Logged {
    No,
    Yes,
}

/// Kinds of late replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::relay) enum Late {
    /// The first one to its request, which is logged.
    First,
    /// A further one.
    Again,
}

impl<W> Waiters<W> {
    pub(crate) fn new(waiting_max: usize) -> Self {
        Self { waiting: HashMap::new(), waiting_max, ended: HashMap::new(), ended_order: VecDeque::new() }
    }

    /// Adds a waiter. A second waiter for the same id replaces the first, as a repeated request does.
    pub(crate) fn insert(&mut self, id: MessageId, waiter: W) -> Result<(), Full> {
        if self.waiting.len() >= self.waiting_max && !self.waiting.contains_key(&id) {
            return Err(Full);
        }
        self.waiting.insert(id, waiter);
        Ok(())
    }

    /// Returns the ids of all waiting requests.
    pub(crate) fn ids(&self) -> Vec<MessageId> {
        self.waiting.keys().cloned().collect()
    }

    pub(crate) fn get(&self, id: &MessageId) -> Option<&W> {
        self.waiting.get(id)
    }

    /// Removes a waiter. Its id is remembered for a while, to tell a late reply from one that answers nothing.
    pub(crate) fn remove(&mut self, id: &MessageId) -> Option<W> {
        let waiter = self.waiting.remove(id)?;
        if self.ended.insert(id.clone(), Logged::No).is_none() {
            self.ended_order.push_back(id.clone());
        }
        while self.ended_order.len() > self.waiting_max {
            if let Some(oldest) = self.ended_order.pop_front() {
                self.ended.remove(&oldest);
            }
        }
        Some(waiter)
    }

    /// Classifies a reply whose request does not wait. `None` if there was no such request, or it ended long ago.
    pub(crate) fn late(&mut self, id: &MessageId) -> Option<Late> {
        let logged = self.ended.get_mut(id)?;
        match std::mem::replace(logged, Logged::Yes) {
            Logged::No => Some(Late::First),
            Logged::Yes => Some(Late::Again),
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
    fn the_table_is_bounded_and_entries_are_freed() {
        let mut waiters = Waiters::new(1);
        assert_eq!(waiters.insert(id("a"), 1), Ok(()));
        assert_eq!(waiters.insert(id("b"), 2), Err(Full));
        assert_eq!(waiters.remove(&id("a")), Some(1));
        assert_eq!(waiters.insert(id("b"), 2), Ok(()));
        assert_eq!(waiters.len(), 1);
    }

    #[test]
    fn a_repeated_request_replaces_its_own_entry() {
        let mut waiters = Waiters::new(1);
        waiters.insert(id("a"), 1).unwrap();
        assert_eq!(waiters.insert(id("a"), 2), Ok(()));
        assert_eq!(waiters.get(&id("a")), Some(&2));
    }

    #[test]
    fn a_late_reply_is_recognised_and_only_the_first_is_logged() {
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
