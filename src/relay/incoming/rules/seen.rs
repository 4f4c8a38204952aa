//! Recently received ids, to recognise duplicates. Bounded in number and time.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::message::MessageId;

/// Ids of the latest messages. At the limit the oldest id is dropped.
pub(crate) struct Seen {
    ids: HashSet<MessageId>,
    order: VecDeque<(Instant, MessageId)>,
    ids_max: usize,
    window: Duration,
}

impl Seen {
    pub(crate) fn new(ids_max: usize, window: Duration) -> Self {
        Self { ids: HashSet::new(), order: VecDeque::new(), ids_max, window }
    }

    /// Adds the id. Returns false if it is a duplicate.
    pub(crate) fn insert(&mut self, id: &MessageId, now: Instant) -> bool {
        self.drop_old(now);
        if !self.ids.insert(id.clone()) {
            return false;
        }
        self.order.push_back((now, id.clone()));
        if self.order.len() > self.ids_max {
            self.drop_oldest();
        }
        true
    }

    /// Removes the id of a message that was refused and may come again.
    pub(crate) fn remove(&mut self, id: &MessageId) {
        if self.ids.remove(id) {
            // It is nearly always the newest.
            if let Some(index) = self.order.iter().rposition(|(_, added)| added == id) {
                self.order.remove(index);
            }
        }
    }

    fn drop_old(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(added, _)| now.saturating_duration_since(*added) > self.window) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, id)) = self.order.pop_front() {
            self.ids.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn id(text: &str) -> MessageId {
        MessageId::parse(text).unwrap()
    }

    #[test]
    fn a_duplicate_inside_the_window_is_recognised() {
        let (mut seen, now) = (Seen::new(10, WINDOW), Instant::now());
        assert!(seen.insert(&id("a"), now));
        assert!(!seen.insert(&id("a"), now + WINDOW));
    }

    #[test]
    fn after_the_window_the_id_is_new_again() {
        let (mut seen, now) = (Seen::new(10, WINDOW), Instant::now());
        assert!(seen.insert(&id("a"), now));
        assert!(seen.insert(&id("a"), now + WINDOW + Duration::from_millis(1)));
    }

    #[test]
    fn a_refused_message_may_come_again() {
        let (mut seen, now) = (Seen::new(10, WINDOW), Instant::now());
        assert!(seen.insert(&id("a"), now));
        seen.remove(&id("a"));
        assert!(seen.insert(&id("a"), now));
        assert_eq!(seen.order.len(), 1);
    }

    #[test]
    fn the_window_is_bounded_in_count() {
        let (mut seen, now) = (Seen::new(2, WINDOW), Instant::now());
        for n in 0..100 {
            assert!(seen.insert(&id(&n.to_string()), now));
        }
        assert_eq!((seen.ids.len(), seen.order.len()), (2, 2));
        assert!(seen.insert(&id("0"), now));
    }
}
