//! Which messages came before: a window bounded in count and in time.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::message::MessageId;

/// Ids of the last messages. At its bound the oldest id is forgotten first.
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

    /// Notes the id. `false` if it is in the window already.
    pub(crate) fn insert(&mut self, id: &MessageId, now: Instant) -> bool {
        self.forget_old(now);
        if !self.ids.insert(id.clone()) {
            return false;
        }
        self.order.push_back((now, id.clone()));
        if self.order.len() > self.ids_max {
            self.forget_oldest();
        }
        true
    }

    /// Takes the id back: the message was refused and may come again.
    pub(crate) fn remove(&mut self, id: &MessageId) {
        if self.ids.remove(id) {
            // It is nearly always the newest.
            if let Some(place) = self.order.iter().rposition(|(_, noted)| noted == id) {
                self.order.remove(place);
            }
        }
    }

    fn forget_old(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(noted, _)| now.saturating_duration_since(*noted) > self.window) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
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
    fn a_duplicate_inside_the_window_is_known() {
        let (mut seen, now) = (Seen::new(10, WINDOW), Instant::now());
        assert!(seen.insert(&id("a"), now));
        assert!(!seen.insert(&id("a"), now + WINDOW));
    }

    #[test]
    fn after_the_window_it_is_new_again() {
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
