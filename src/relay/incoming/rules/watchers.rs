//! Table of callers that wait for the next message of an activity.

use std::collections::HashMap;

use crate::message::ActivityId;

/// The table has no free entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// Watchers by activity, any number for each. Bounded. An entry is removed by the first message of its activity, or by
/// its owner.
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

    /// Adds a watcher. Returns the number by which it can be removed.
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

    /// Removes and returns all watchers of an activity.
    pub(crate) fn take(&mut self, activity: &ActivityId) -> Vec<W> {
        let found = self.watching.remove(activity).unwrap_or_default();
        self.count -= found.len();
        found.into_iter().map(|(_, watcher)| watcher).collect()
    }

    /// Removes one watcher, if it is still there.
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
    fn a_message_ends_every_watch_of_its_activity_and_no_other() {
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
    fn the_table_is_bounded_and_entries_are_freed() {
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
    fn an_ended_watch_leaves_nothing_behind() {
        let mut watchers = Watchers::new(2);
        for number in 0..100 {
            let entry = watchers.insert(activity(&number.to_string()), ()).unwrap();
            watchers.remove(&activity(&number.to_string()), entry);
        }
        assert_eq!((watchers.len(), watchers.watching.len()), (0, 0));
    }
}
