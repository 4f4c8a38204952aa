//! Recently received messages, to recognise duplicates. Bounded in number and time.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::Xxh3;

use crate::message::Message;

/// Hasher for keys that are hashes already.
#[derive(Default)]
struct Prehashed(u64);

impl Hasher for Prehashed {
    fn write(&mut self, bytes: &[u8]) {
        // Keys of other types than `u64` come here; there are none.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type ByHash = BuildHasherDefault<Prehashed>;

/// Identity of a message, as hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint {
    /// Of the sender and the id.
    origin: u64,
    /// Of the origin, the name and the payload.
    whole: u64,
}

impl Fingerprint {
    /// Computes the identity of a message: sender, id, name and payload. Without the `seed` no sender can choose messages
    /// that collide.
    pub(crate) fn of(message: &Message, seed: u64) -> Self {
        let mut hasher = Xxh3::with_seed(seed);
        message.sender.hash(&mut hasher);
        message.id.hash(&mut hasher);
        let origin = hasher.finish();
        message.name.hash(&mut hasher);
        if let Some(payload) = &message.payload {
            hasher.update(payload.as_bytes());
        }
        Self { origin, whole: hasher.finish() }
    }
}

/// Relation of a message to earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Not seen before.
    New,
    /// Not seen before, but its sender has used the id for another message.
    ReusedId,
    /// Seen before.
    Duplicate,
    /// Its sender may repeat it, and the limit of such messages is reached.
    Full,
}

/// Latest messages. Of the ordinary ones the oldest is dropped at the limit; those that their senders may repeat for a time
/// are remembered for that time, whatever else passes.
pub(crate) struct Seen {
    recent: HashSet<u64, ByHash>,
    order: VecDeque<(Instant, Fingerprint)>,
    /// Messages that may be repeated, until when.
    repeatable: HashMap<u64, Instant, ByHash>,
    ends: BTreeSet<(Instant, Fingerprint)>,
    /// Number of remembered messages by origin.
    origins: HashMap<u64, u32, ByHash>,
    messages_max: usize,
    repeatable_max: usize,
    window: Duration,
}

impl Seen {
    /// Remembers up to `messages_max` messages for `window`, and as many as `repeatable_max` that may be repeated.
    pub(crate) fn new(messages_max: usize, repeatable_max: usize, window: Duration) -> Self {
        Self {
            recent: HashSet::default(),
            order: VecDeque::new(),
            repeatable: HashMap::default(),
            ends: BTreeSet::new(),
            origins: HashMap::default(),
            messages_max: messages_max.max(1),
            repeatable_max: repeatable_max.max(1),
            window,
        }
    }

    /// Remembers a message that its sender may repeat for `repeat`; zero if it does not say so.
    pub(crate) fn insert(&mut self, message: Fingerprint, repeat: Duration, now: Instant) -> Sight {
        self.drop_old(now);
        if self.recent.contains(&message.whole) || self.repeatable.contains_key(&message.whole) {
            return Sight::Duplicate;
        }
        if repeat.is_zero() {
            if self.order.len() >= self.messages_max {
                self.drop_oldest();
            }
            self.recent.insert(message.whole);
            self.order.push_back((now, message));
        } else {
            if self.repeatable.len() >= self.repeatable_max {
                return Sight::Full;
            }
            // On overflow a year is as good as for ever.
            let until = now.checked_add(repeat.max(self.window)).unwrap_or(now + Duration::from_secs(31_536_000));
            self.repeatable.insert(message.whole, until);
            self.ends.insert((until, message));
        }
        let count = self.origins.entry(message.origin).or_default();
        *count += 1;
        if *count > 1 { Sight::ReusedId } else { Sight::New }
    }

    /// Forgets a message that was refused and may come again.
    pub(crate) fn remove(&mut self, message: Fingerprint) {
        if self.recent.remove(&message.whole) {
            // It is nearly always the newest.
            if let Some(index) = self.order.iter().rposition(|(_, added)| *added == message) {
                self.order.remove(index);
            }
            self.forget_origin(message.origin);
        } else if let Some(until) = self.repeatable.remove(&message.whole) {
            self.ends.remove(&(until, message));
            self.forget_origin(message.origin);
        }
    }

    fn drop_old(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(added, _)| now.saturating_duration_since(*added) > self.window) {
            self.drop_oldest();
        }
        while let Some((until, message)) = self.ends.first().copied().filter(|(until, _)| *until < now) {
            self.ends.remove(&(until, message));
            self.repeatable.remove(&message.whole);
            self.forget_origin(message.origin);
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, message)) = self.order.pop_front() {
            self.recent.remove(&message.whole);
            self.forget_origin(message.origin);
        }
    }

    fn forget_origin(&mut self, origin: u64) {
        if let Some(count) = self.origins.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                self.origins.remove(&origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{MessageId, MessageName, Payload, Role};

    const WINDOW: Duration = Duration::from_secs(60);

    const TICK: Duration = Duration::from_millis(1);

    fn message(sender: &str, id: &str, name: &str, payload: u32) -> Fingerprint {
        let mut message = Message::new(MessageId::parse(id).unwrap(), MessageName::parse(name).unwrap());
        message.sender = Some(Role::parse(sender).unwrap());
        message.payload = Some(Payload::of(&payload).unwrap());
        Fingerprint::of(&message, 17)
    }

    fn id(text: &str) -> Fingerprint {
        message("web", text, "hello", 1)
    }

    fn insert(seen: &mut Seen, message: Fingerprint, now: Instant) -> Sight {
        seen.insert(message, Duration::ZERO, now)
    }

    #[test]
    fn a_duplicate_inside_the_window_is_recognised() {
        let (mut seen, now) = (Seen::new(10, 10, WINDOW), Instant::now());
        assert_eq!(insert(&mut seen, id("a"), now), Sight::New);
        assert_eq!(insert(&mut seen, id("a"), now + WINDOW), Sight::Duplicate);
        assert_eq!(insert(&mut seen, id("a"), now + WINDOW + TICK), Sight::New);
    }

    #[test]
    fn two_senders_may_use_the_same_id() {
        let (mut seen, now) = (Seen::new(10, 10, WINDOW), Instant::now());
        for sender in ["web", "mobile"] {
            assert_eq!(insert(&mut seen, message(sender, "1", "hello", 1), now), Sight::New);
            assert_eq!(insert(&mut seen, message(sender, "1", "hello", 1), now), Sight::Duplicate);
        }
    }

    #[test]
    fn another_message_under_a_used_id_is_no_duplicate() {
        let (mut seen, now) = (Seen::new(10, 10, WINDOW), Instant::now());
        assert_eq!(insert(&mut seen, message("web", "1", "hello", 1), now), Sight::New);
        assert_eq!(insert(&mut seen, message("web", "1", "hello", 2), now), Sight::ReusedId);
        assert_eq!(insert(&mut seen, message("web", "1", "bye", 1), now), Sight::ReusedId);
        for (name, payload) in [("hello", 1), ("hello", 2), ("bye", 1)] {
            assert_eq!(insert(&mut seen, message("web", "1", name, payload), now), Sight::Duplicate);
        }
    }

    #[test]
    fn a_refused_message_may_come_again() {
        let (mut seen, now) = (Seen::new(10, 10, WINDOW), Instant::now());
        for repeat in [Duration::ZERO, WINDOW] {
            assert_eq!(seen.insert(id("a"), repeat, now), Sight::New);
            seen.remove(id("a"));
            seen.remove(id("a"));
        }
        assert_eq!(insert(&mut seen, id("a"), now), Sight::New);
        assert_eq!((seen.order.len(), seen.ends.len(), seen.origins.len()), (1, 0, 1));
    }

    #[test]
    fn the_window_is_bounded_in_count() {
        let (mut seen, now) = (Seen::new(2, 2, WINDOW), Instant::now());
        for n in 0..100 {
            assert_eq!(insert(&mut seen, id(&n.to_string()), now), Sight::New);
        }
        assert_eq!((seen.recent.len(), seen.order.len(), seen.origins.len()), (2, 2, 2));
        assert_eq!(insert(&mut seen, id("0"), now), Sight::New);
    }

    #[test]
    fn a_message_that_may_be_repeated_is_remembered_for_that_long_whatever_else_passes() {
        let (mut seen, now) = (Seen::new(2, 2, WINDOW), Instant::now());
        assert_eq!(seen.insert(id("key"), WINDOW * 10, now), Sight::New);
        for n in 0..100 {
            insert(&mut seen, id(&n.to_string()), now);
        }
        assert_eq!(seen.insert(id("key"), WINDOW, now + WINDOW * 10), Sight::Duplicate);
        assert_eq!(seen.insert(id("key"), WINDOW, now + WINDOW * 10 + TICK), Sight::New);
    }

    #[test]
    fn a_message_that_may_be_repeated_and_cannot_be_remembered_is_refused() {
        let (mut seen, now) = (Seen::new(9, 1, WINDOW), Instant::now());
        assert_eq!(seen.insert(id("a"), WINDOW, now), Sight::New);
        assert_eq!(seen.insert(id("b"), WINDOW, now), Sight::Full);
        assert_eq!(insert(&mut seen, id("c"), now), Sight::New);
        assert_eq!(seen.insert(id("b"), WINDOW, now + WINDOW + TICK), Sight::New);
    }
}
