//! Participants of conversations, so that replies find the instance that sent the request.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::InstanceKey;
use crate::message::{ActivityId, InstanceId, Message, MessageId};

/// Participants remembered per conversation; a further one replaces the first.
const PARTICIPANTS_MAX: usize = 64;

/// Entries that recording one message may evict, so no message pays for all of them.
const TRIMMED_MAX: usize = 4;

/// Entries that one sweep may evict; bounds the time the lock is held.
const SWEPT_MAX: usize = 1_024;

/// A bounded table of messages and conversations. Message ids and activity ids share it, because a conversation is named
/// after the message that opened it. Idle entries expire, and at the limit the oldest one is evicted.
pub(crate) struct Conversations {
    entries: HashMap<ActivityId, Entry>,
    order: VecDeque<ActivityId>,
    entries_max: usize,
    idle: Duration,
}

struct Entry {
    /// The instance that sent the message of this id.
    sender: Option<InstanceId>,
    /// The conversation of the message of this id, unless it is the one the message opened.
    part_of: Option<ActivityId>,
    participants: Vec<Participant>,
    /// Arrival of the message of this id.
    opened: Instant,
    used: Instant,
    /// Used again since it was queued for eviction.
    used_again: bool,
}

/// An instance that takes part in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Participant {
    pub(crate) key: InstanceKey,
    /// The last message of the conversation that it received.
    last_received: Option<MessageId>,
}

impl Conversations {
    pub(crate) fn new(entries_max: usize, idle: Duration) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), entries_max, idle }
    }

    /// Returns the conversation of a message. A reply that carries only `responseTo` belongs to that of its request.
    pub(crate) fn conversation_of(&self, now: Instant, message: &Message) -> ActivityId {
        let request = message.response_to.as_ref().filter(|_| message.activity_id.is_none());
        let found = request.and_then(|id| self.entry(now, id.as_str())?.part_of.clone());
        found.unwrap_or_else(|| message.conversation())
    }

    /// Returns the instance that sent the message of this id.
    pub(crate) fn sender(&self, now: Instant, id: &MessageId) -> Option<&InstanceId> {
        self.entry(now, id.as_str())?.sender.as_ref()
    }

    /// Returns the instances that took part so far.
    pub(crate) fn participants(&self, now: Instant, conversation: &ActivityId) -> &[Participant] {
        self.entry(now, conversation.as_str()).map_or(&[], |entry| &entry.participants)
    }

    /// Returns the message of the conversation that the instance received last: the presumed request if it replies without
    /// stating one.
    pub(crate) fn last_received(
        &self,
        now: Instant,
        conversation: &ActivityId,
        key: InstanceKey,
    ) -> Option<&MessageId> {
        let participants = self.participants(now, conversation).iter();
        participants.rev().find(|other| other.key == key).and_then(|participant| participant.last_received.as_ref())
    }

    /// Returns the time since the message of this id arrived.
    pub(crate) fn age(&self, now: Instant, id: &MessageId) -> Option<Duration> {
        self.entry(now, id.as_str()).map(|entry| now.duration_since(entry.opened))
    }

    /// Records that `sender` sent `id` in `conversation`, from the instance `origin` to `receivers`.
    pub(crate) fn record(
        &mut self,
        now: Instant,
        id: &MessageId,
        conversation: &ActivityId,
        sender: Option<&InstanceId>,
        origin: Option<InstanceKey>,
        receivers: impl Iterator<Item = InstanceKey>,
    ) {
        let opens = id.as_str() == conversation.as_str();
        let entry = self.touch(now, conversation.clone());
        if let Some(key) = origin {
            entry.join(key, None);
        }
        for key in receivers {
            entry.join(key, Some(id));
        }
        let entry = match opens {
            true => entry,
            false => self.touch(now, id.clone().into()),
        };
        if sender.is_some() {
            entry.sender = sender.cloned();
        }
        entry.part_of = (!opens).then(|| conversation.clone());
        self.trim(now, TRIMMED_MAX);
    }

    /// Evicts idle entries.
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
            Entry { sender: None, part_of: None, participants: Vec::new(), opened: now, used: now, used_again: false }
        });
        if now.duration_since(entry.used) >= self.idle {
            (entry.sender, entry.part_of, entry.opened) = (None, None, now);
            entry.participants.clear();
        }
        entry.used_again = entry.used != now;
        entry.used = now;
        entry
    }

    fn trim(&mut self, now: Instant, steps_max: usize) {
        let mut steps = 0;
        while let Some(id) = self.order.pop_front() {
            steps += 1;
            let Some(entry) = self.entries.get_mut(id.as_str()) else { continue };
            let idle = now.duration_since(entry.used) >= self.idle;
            let is_full = self.entries.len() > self.entries_max;
            if !idle && !is_full {
                self.order.push_front(id);
                return;
            }
            let is_spared = !idle && steps < TRIMMED_MAX && self.spare(id.as_str());
            match is_spared {
                true => self.order.push_back(id),
                false => drop(self.entries.remove(id.as_str())),
            }
            if steps >= steps_max {
                return;
            }
        }
    }

    /// Returns true if the entry was used again since it was queued for eviction, which spares it once.
    fn spare(&mut self, id: &str) -> bool {
        self.entries.get_mut(id).is_some_and(|entry| std::mem::take(&mut entry.used_again))
    }
}

impl Entry {
    /// Adds a participant, or updates what it received last.
    fn join(&mut self, key: InstanceKey, received: Option<&MessageId>) {
        if let Some(known) = self.participants.iter_mut().find(|other| other.key == key) {
            if received.is_some() {
                known.last_received = received.cloned();
            }
            return;
        }
        if self.participants.len() >= PARTICIPANTS_MAX {
            self.participants.remove(0);
        }
        self.participants.push(Participant { key, last_received: received.cloned() });
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
        table.record(
            now,
            &id(message),
            &conversation,
            Some(&instance(sender)),
            Some(InstanceKey(1)),
            [InstanceKey(2)].into_iter(),
        );
    }

    #[test]
    fn a_reply_that_carries_only_response_to_finds_the_conversation() {
        let (mut table, now) = (Conversations::new(8, IDLE), Instant::now());
        record(&mut table, now, "2", "1", "web-1");
        let mut reply = Message::new(id("3"), MessageName::parse("created").unwrap());
        reply.response_to = Some(id("2"));
        assert_eq!(table.conversation_of(now, &reply).as_str(), "1");
        assert_eq!(table.sender(now, &id("2")), Some(&instance("web-1")));
        let conversation = ActivityId::parse("1").unwrap();
        let keys: Vec<_> = table.participants(now, &conversation).iter().map(|participant| participant.key).collect();
        assert_eq!(keys, [InstanceKey(1), InstanceKey(2)]);
        assert_eq!(table.last_received(now, &conversation, InstanceKey(2)), Some(&id("2")));
        assert_eq!(table.last_received(now, &conversation, InstanceKey(1)), None);
        assert_eq!(table.age(now + IDLE / 2, &id("2")), Some(IDLE / 2));
    }

    #[test]
    fn an_idle_conversation_expires() {
        let (mut table, now) = (Conversations::new(8, IDLE), Instant::now());
        record(&mut table, now, "1", "1", "web-1");
        assert!(table.sender(now + IDLE / 2, &id("1")).is_some());
        assert!(table.sender(now + IDLE, &id("1")).is_none());
        table.sweep(now + IDLE);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn at_the_limit_the_oldest_unused_entry_is_evicted() {
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
