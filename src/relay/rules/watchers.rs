//! Who waits for the next message of which conversation.

use std::collections::HashMap;

use super::Full;
use crate::message::ActivityId;

/// Watchers by conversation, several for each if need be. Bounded; a place is freed by the first message that comes, or
/// when its owner says so.
pub(crate) struct Watchers<W> {
    watching: HashMap<ActivityId, Vec<(u64, W)>>,
    count: usize,
    watching_max: usize,
    next: u64,
}

impl<W> Watchers<W> {
    pub(crate) fn new(watching_max: usize) -> Self {
        Self { watching: HashMap::new(), count: 0, watching_max, next: 0 }
    }

    /// Takes a place. Answers the number by which it can be freed.
    pub(crate) fn insert(&mut self, activity: ActivityId, watcher: W) -> Result<u64, Full> {
        if self.count >= self.watching_max {
            return Err(Full);
        }
        let number = self.next;
        self.next += 1;
        self.count += 1;
        self.watching.entry(activity).or_default().push((number, watcher));
        Ok(number)
    }

    pub(crate) fn contains(&self, activity: &ActivityId) -> bool {
        self.watching.contains_key(activity)
    }

    /// Frees all places of the conversation, since a message of it has come.
    pub(crate) fn take(&mut self, activity: &ActivityId) -> Vec<W> {
        let found = self.watching.remove(activity).unwrap_or_default();
        self.count -= found.len();
        found.into_iter().map(|(_, watcher)| watcher).collect()
    }

    /// Frees one place, if it is still taken.
    pub(crate) fn remove(&mut self, activity: &ActivityId, number: u64) {
        let Some(watchers) = self.watching.get_mut(activity) else { return };
        let before = watchers.len();
        watchers.retain(|(other, _)| *other != number);
        self.count -= before - watchers.len();
        if watchers.is_empty() {
            self.watching.remove(activity);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(text: &str) -> ActivityId {
        ActivityId::parse(text).unwrap()
    }

    #[test]
    fn a_message_ends_every_watch_of_its_conversation_and_no_other() {
        let mut watchers = Watchers::new(9);
        for (text, watcher) in [("a", 1), ("b", 2), ("a", 3)] {
            watchers.insert(activity(text), watcher).unwrap();
        }
        assert_eq!(watchers.take(&activity("a")), [1, 3]);
        assert_eq!(watchers.take(&activity("a")), [0; 0]);
        assert!(watchers.contains(&activity("b")));
        assert_eq!(watchers.len(), 1);
    }

    #[test]
    fn places_are_bounded_and_freed() {
        let mut watchers = Watchers::new(2);
        let first = watchers.insert(activity("a"), 1).unwrap();
        watchers.insert(activity("a"), 2).unwrap();
        assert_eq!(watchers.insert(activity("b"), 3), Err(Full));
        watchers.remove(&activity("a"), first);
        watchers.remove(&activity("a"), first);
        watchers.remove(&activity("zonk"), first);
        assert_eq!(watchers.len(), 1);
        watchers.insert(activity("b"), 3).unwrap();
        assert_eq!(watchers.take(&activity("a")), [2]);
    }

    #[test]
    fn nothing_is_left_of_a_watch_that_has_ended() {
        let mut watchers = Watchers::new(2);
        for number in 0..100 {
            let place = watchers.insert(activity(&number.to_string()), ()).unwrap();
            watchers.remove(&activity(&number.to_string()), place);
        }
        assert_eq!((watchers.len(), watchers.watching.len()), (0, 0));
    }
}
