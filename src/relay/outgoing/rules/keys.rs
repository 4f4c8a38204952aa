//! Idempotency keys: repeating a call under its key returns the outcome of the first.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// The key was used before, for a different call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::relay) struct Mismatch;

/// Outcomes of calls by their key. Bounded in number and time; at the limit the oldest key is dropped.
pub(crate) struct Keys<T> {
    calls: HashMap<String, (u64, T)>,
    order: VecDeque<(Instant, String)>,
    keys_max: usize,
    window: Duration,
}

impl<T: Clone> Keys<T> {
    pub(crate) fn new(keys_max: usize, window: Duration) -> Self {
        Self { calls: HashMap::new(), order: VecDeque::new(), keys_max, window }
    }

    /// Returns the earlier call under `key`, or stores and returns `fresh`. Errors: [`Mismatch`] if the earlier call has
    /// another fingerprint.
    pub(crate) fn enter(&mut self, key: &str, fingerprint: u64, fresh: T, now: Instant) -> Result<T, Mismatch> {
        while self.order.front().is_some_and(|(added, _)| now.saturating_duration_since(*added) > self.window) {
            self.drop_oldest();
        }
        if let Some((known, call)) = self.calls.get(key) {
            return if *known == fingerprint { Ok(call.clone()) } else { Err(Mismatch) };
        }
        if self.order.len() >= self.keys_max {
            self.drop_oldest();
        }
        self.calls.insert(key.to_owned(), (fingerprint, fresh.clone()));
        self.order.push_back((now, key.to_owned()));
        Ok(fresh)
    }

    fn drop_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.calls.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    #[test]
    fn a_repeated_call_returns_the_first_outcome() {
        let (mut keys, now) = (Keys::new(9, WINDOW), Instant::now());
        assert_eq!(keys.enter("k", 7, "first", now), Ok("first"));
        assert_eq!(keys.enter("k", 7, "second", now + WINDOW), Ok("first"));
        assert_eq!(keys.enter("k", 8, "other", now), Err(Mismatch));
        assert_eq!(keys.enter("k", 8, "later", now + WINDOW * 2), Ok("later"));
    }

    #[test]
    fn keys_are_bounded() {
        let (mut keys, now) = (Keys::new(2, WINDOW), Instant::now());
        for n in 0..100 {
            assert_eq!(keys.enter(&n.to_string(), 0, n, now), Ok(n));
        }
        assert_eq!((keys.calls.len(), keys.order.len()), (2, 2));
    }
}
