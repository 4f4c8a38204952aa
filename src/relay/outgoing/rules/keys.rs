//! Idempotency keys: a call that is repeated under its key joins the first one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::message::MessageId;

/// Reason why a call is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyRefused {
    /// The key was used before, for a different call.
    Mismatch,
    /// All keys are within their windows. The first one ends after this time.
    Full(Duration),
}

/// Calls by their key and by the id of their message. A key is kept for its whole window; at the limit new ones are
/// refused.
pub(crate) struct Keys<T> {
    calls: HashMap<Arc<str>, Entry<T>>,
    ids: HashMap<MessageId, T>,
    ends: BTreeSet<(Instant, Arc<str>)>,
    keys_max: usize,
    window: Duration,
}

struct Entry<T> {
    fingerprint: u64,
    id: MessageId,
    call: T,
    ends_at: Instant,
}

impl<T: Clone> Keys<T> {
    pub(crate) fn new(keys_max: usize, window: Duration) -> Self {
        Self { calls: HashMap::new(), ids: HashMap::new(), ends: BTreeSet::new(), keys_max, window }
    }

    /// Returns the call under `key` and the end of the key's window: an earlier call, or a fresh one for the message
    /// `id`. The window lasts until `until` at least, so that it outlives everybody who waits for the reply.
    pub(crate) fn enter(
        &mut self,
        key: &str,
        fingerprint: u64,
        (id, fresh): (MessageId, T),
        until: Instant,
        now: Instant,
    ) -> Result<(T, Instant), KeyRefused> {
        self.drop_ended(now);
        if let Some((key, entry)) = self.calls.get_key_value(key) {
            if entry.fingerprint != fingerprint {
                return Err(KeyRefused::Mismatch);
            }
            let (key, ends_at) = (Arc::clone(key), entry.ends_at.max(until));
            self.ends.remove(&(entry.ends_at, Arc::clone(&key)));
            self.ends.insert((ends_at, Arc::clone(&key)));
            let entry = self.calls.get_mut(&key).expect("it was found under this key");
            entry.ends_at = ends_at;
            return Ok((entry.call.clone(), ends_at));
        }
        if let Some((first_end, _)) = self.ends.first()
            && self.calls.len() >= self.keys_max
        {
            return Err(KeyRefused::Full(first_end.saturating_duration_since(now)));
        }
        let (key, ends_at): (Arc<str>, _) = (key.into(), until.max(now + self.window));
        self.ends.insert((ends_at, Arc::clone(&key)));
        self.ids.insert(id.clone(), fresh.clone());
        self.calls.insert(key, Entry { fingerprint, id, call: fresh.clone(), ends_at });
        Ok((fresh, ends_at))
    }

    /// Returns the call whose message has this id.
    pub(crate) fn of_message(&self, id: &MessageId) -> Option<&T> {
        self.ids.get(id)
    }

    /// Returns all calls.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &T> {
        self.ids.values()
    }

    fn drop_ended(&mut self, now: Instant) {
        while let Some((ends_at, _)) = self.ends.first()
            && *ends_at < now
        {
            let Some((_, key)) = self.ends.pop_first() else { return };
            if let Some(entry) = self.calls.remove(&key) {
                self.ids.remove(&entry.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn id(number: usize) -> MessageId {
        MessageId::parse(&number.to_string()).unwrap()
    }

    /// Enters a call without a requester.
    fn enter(keys: &mut Keys<usize>, key: &str, fingerprint: u64, n: usize, now: Instant) -> Result<usize, KeyRefused> {
        keys.enter(key, fingerprint, (id(n), n), now, now).map(|(call, _)| call)
    }

    #[test]
    fn a_repeated_call_returns_the_first_one() {
        let (mut keys, now) = (Keys::new(9, WINDOW), Instant::now());
        assert_eq!(enter(&mut keys, "k", 7, 1, now), Ok(1));
        assert_eq!(enter(&mut keys, "k", 7, 2, now + WINDOW), Ok(1));
        assert_eq!(enter(&mut keys, "k", 8, 3, now), Err(KeyRefused::Mismatch));
        assert_eq!((keys.of_message(&id(1)), keys.of_message(&id(2))), (Some(&1), None));
        assert_eq!(enter(&mut keys, "k", 8, 4, now + WINDOW * 2), Ok(4));
        assert_eq!((keys.of_message(&id(1)), keys.of_message(&id(4))), (None, Some(&4)));
    }

    #[test]
    fn at_the_limit_new_keys_are_refused_and_none_is_dropped_within_its_window() {
        let (mut keys, now) = (Keys::new(2, WINDOW), Instant::now());
        assert_eq!(enter(&mut keys, "a", 0, 1, now), Ok(1));
        assert_eq!(enter(&mut keys, "b", 0, 2, now + WINDOW / 2), Ok(2));
        assert_eq!(enter(&mut keys, "c", 0, 3, now + WINDOW / 2), Err(KeyRefused::Full(WINDOW / 2)));
        assert_eq!(enter(&mut keys, "a", 0, 4, now + WINDOW), Ok(1));
        let later = now + WINDOW + Duration::from_secs(1);
        assert_eq!(enter(&mut keys, "c", 0, 5, later), Ok(5));
        assert_eq!(enter(&mut keys, "a", 0, 6, later), Err(KeyRefused::Full(WINDOW / 2 - Duration::from_secs(1))));
        assert_eq!((keys.calls.len(), keys.ids.len(), keys.ends.len()), (2, 2, 2));
    }

    #[test]
    fn a_key_outlives_everybody_who_waits_for_its_reply() {
        let (mut keys, now) = (Keys::new(1, WINDOW), Instant::now());
        let hour = now + Duration::from_secs(3600);
        assert_eq!(keys.enter("k", 0, (id(1), 1), hour, now), Ok((1, hour)));
        assert_eq!(keys.enter("k", 0, (id(2), 2), hour + WINDOW, hour), Ok((1, hour + WINDOW)));
        assert_eq!(keys.enter("k", 0, (id(3), 3), hour, hour + WINDOW), Ok((1, hour + WINDOW)));
    }
}
