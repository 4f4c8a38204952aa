//! Who took part in which conversation, so that answers find the instance that asked.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::Key;
use crate::message::{ActivityId, InstanceId, Message, MessageId};

/// How many instances one conversation remembers; the first gives way.
const PARTICIPANTS_MAX: usize = 64;

/// How many entries one call clears away, so that no message pays for all of them.
const TRIMMED_MAX: usize = 4;

/// How many entries one sweep clears away; the lock is held that long.
const SWEPT_MAX: usize = 1_024;

/// A bounded memory by message id and by activity id; ids of both kinds share one table, because a conversation is
/// named after the message that opened it. What is idle too long is forgotten, and at the bound the oldest gives way.
pub(crate) struct Conversations {
    entries: HashMap<ActivityId, Entry>,
    order: VecDeque<ActivityId>,
    entries_max: usize,
    idle: Duration,
}

struct Entry {
    /// The instance that sent the message of this id.
    sender: Option<InstanceId>,
    /// The conversation which the message of this id belongs to, if it is not the one it opened itself.
    part_of: Option<ActivityId>,
    participants: Vec<Participant>,
    /// When the message of this id came.
    opened: Instant,
    used: Instant,
    /// Used since it was queued for eviction.
    again: bool,
}

/// An instance that takes part, and what it got last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Participant {
    pub(crate) key: Key,
    pub(crate) got: Option<MessageId>,
}

impl Conversations {
    pub(crate) fn new(entries_max: usize, idle: Duration) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), entries_max, idle }
    }

    /// The conversation's name. A reply that carries only `responseTo` is in the conversation of what it answers.
    pub(crate) fn name(&self, now: Instant, message: &Message) -> ActivityId {
        let answered = message.response_to.as_ref().filter(|_| message.activity_id.is_none());
        let found = answered.and_then(|id| self.entry(now, id.as_str())?.part_of.clone());
        found.unwrap_or_else(|| message.conversation())
    }

    /// The instance that sent the message of this id.
    pub(crate) fn sender(&self, now: Instant, id: &MessageId) -> Option<&InstanceId> {
        self.entry(now, id.as_str())?.sender.as_ref()
    }

    /// The instances that took part so far.
    pub(crate) fn participants(&self, now: Instant, conversation: &ActivityId) -> &[Participant] {
        self.entry(now, conversation.as_str()).map_or(&[], |entry| &entry.participants)
    }

    /// The message of the conversation that the instance got last: what it answers if it does not say.
    pub(crate) fn answered(&self, now: Instant, conversation: &ActivityId, key: Key) -> Option<&MessageId> {
        let participants = self.participants(now, conversation).iter();
        participants.rev().find(|other| other.key == key).and_then(|participant| participant.got.as_ref())
    }

    /// How long ago the message of this id came.
    pub(crate) fn age(&self, now: Instant, id: &MessageId) -> Option<Duration> {
        self.entry(now, id.as_str()).map(|entry| now.duration_since(entry.opened))
    }

    /// Remembers that `sender` sent `id` in `conversation`, from the instance `origin` to `receivers`.
    pub(crate) fn record(
        &mut self,
        now: Instant,
        id: &MessageId,
        conversation: &ActivityId,
        sender: Option<&InstanceId>,
        origin: Option<Key>,
        receivers: impl Iterator<Item = Key>,
    ) {
        let opener = id.as_str() == conversation.as_str();
        let entry = self.touch(now, conversation.clone());
        if let Some(key) = origin {
            entry.join(key, None);
        }
        for key in receivers {
            entry.join(key, Some(id));
        }
        let entry = match opener {
            true => entry,
            false => self.touch(now, id.clone().into()),
        };
        if sender.is_some() {
            entry.sender = sender.cloned();
        }
        entry.part_of = (!opener).then(|| conversation.clone());
        self.trim(now, TRIMMED_MAX);
    }

    /// Forgets what has been idle too long.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.trim(now, SWEPT_MAX);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn entry(&self, now: Instant, id: &str) -> Option<&Entry> {
        self.entries.get(id).filter(|entry| now.duration_since(entry.used) < self.idle)
    }

    fn touch(&mut self, now: Instant, id: ActivityId) -> &mut Entry {
        let order = &mut self.order;
        let entry = self.entries.entry(id).or_insert_with_key(|id| {
            order.push_back(id.clone());
            Entry { sender: None, part_of: None, participants: Vec::new(), opened: now, used: now, again: false }
        });
        if now.duration_since(entry.used) >= self.idle {
            (entry.sender, entry.part_of, entry.opened) = (None, None, now);
            entry.participants.clear();
        }
        entry.again = entry.used != now;
        entry.used = now;
        entry
    }

    fn trim(&mut self, now: Instant, steps_max: usize) {
        let mut steps = 0;
        while let Some(id) = self.order.pop_front() {
            steps += 1;
            let Some(entry) = self.entries.get_mut(id.as_str()) else { continue };
            let idle = now.duration_since(entry.used) >= self.idle;
            let over = self.entries.len() > self.entries_max;
            if !idle && !over {
                self.order.push_front(id);
                return;
            }
            let spared = !idle && steps < TRIMMED_MAX && self.spare(id.as_str());
            match spared {
                true => self.order.push_back(id),
                false => drop(self.entries.remove(id.as_str())),
            }
            if steps >= steps_max {
                return;
            }
        }
    }

    /// Whether the entry was used again since its last turn; it is spared once for that.
    fn spare(&mut self, id: &str) -> bool {
        self.entries.get_mut(id).is_some_and(|entry| std::mem::take(&mut entry.again))
    }
}

impl Entry {
    /// Enters who takes part; the first gives way at the bound.
    fn join(&mut self, key: Key, got: Option<&MessageId>) {
        if let Some(known) = self.participants.iter_mut().find(|other| other.key == key) {
            if got.is_some() {
                known.got = got.cloned();
            }
            return;
        }
        if self.participants.len() >= PARTICIPANTS_MAX {
            self.participants.remove(0);
        }
        self.participants.push(Participant { key, got: got.cloned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageName;

    const IDLE: Duration = Duration::from_secs(60);

    fn id(text: &str) -> MessageId {
        MessageId::parse(text).unwrap()
    }

    fn instance(text: &str) -> InstanceId {
        InstanceId::parse(text).unwrap()
    }

    fn record(table: &mut Conversations, now: Instant, message: &str, conversation: &str, sender: &str) {
        let conversation = ActivityId::parse(conversation).unwrap();
        table.record(now, &id(message), &conversation, Some(&instance(sender)), Some(Key(1)), [Key(2)].into_iter());
    }

    #[test]
    fn a_reply_that_carries_only_response_to_finds_the_conversation() {
        let (mut table, now) = (Conversations::new(8, IDLE), Instant::now());
        record(&mut table, now, "2", "1", "web-1");
        let mut reply = Message::new(id("3"), MessageName::parse("created").unwrap());
        reply.response_to = Some(id("2"));
        assert_eq!(table.name(now, &reply).as_str(), "1");
        assert_eq!(table.sender(now, &id("2")), Some(&instance("web-1")));
        let conversation = ActivityId::parse("1").unwrap();
        let keys: Vec<_> = table.participants(now, &conversation).iter().map(|participant| participant.key).collect();
        assert_eq!(keys, [Key(1), Key(2)]);
        assert_eq!(table.answered(now, &conversation, Key(2)), Some(&id("2")));
        assert_eq!(table.answered(now, &conversation, Key(1)), None);
        assert_eq!(table.age(now + IDLE / 2, &id("2")), Some(IDLE / 2));
    }

    #[test]
    fn an_idle_conversation_is_forgotten() {
        let (mut table, now) = (Conversations::new(8, IDLE), Instant::now());
        record(&mut table, now, "1", "1", "web-1");
        assert!(table.sender(now + IDLE / 2, &id("1")).is_some());
        assert!(table.sender(now + IDLE, &id("1")).is_none());
        table.sweep(now + IDLE);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn at_the_bound_the_oldest_unused_entry_gives_way() {
        let (mut table, now) = (Conversations::new(3, IDLE), Instant::now());
        for number in 0..100 {
            record(&mut table, now + Duration::from_millis(number), "kept", "kept", "web-1");
            record(
                &mut table,
                now + Duration::from_millis(number),
                &format!("m{number}"),
                &format!("m{number}"),
                "web-1",
            );
            assert!(table.len() <= 4, "{}", table.len());
        }
        assert!(table.sender(now + Duration::from_millis(100), &id("kept")).is_some());
    }
}
