//! Participants of conversations, so that replies find the instance that sent the request.

mod exchanged;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

pub(crate) use exchanged::Exchanged;

use super::InstanceKey;
use super::open_requests::{OpenRequest, OpenRequests};
use crate::broker::config::Config;
use crate::message::{ActivityId, InstanceId, Message, MessageId, ReplyTo, Role};

/// Participants remembered per conversation; a further one replaces the first. While a request in it is open, all are
/// remembered: any of them may be the one that replies.
const PARTICIPANTS_MAX: usize = 64;

/// Entries that recording one message may evict, so no message pays for all of them.
const TRIMMED_MAX: usize = 4;

/// Entries that one sweep may evict; bounds the time the lock is held.
const SWEPT_MAX: usize = 1_024;

/// Memory that an entry counts for besides its ids and participants.
const ENTRY_BYTES: usize = 400;

/// A bounded table of messages and conversations. Message ids and activity ids share it, because a conversation is named
/// after the message that opened it. Idle entries expire, and at the limit the oldest one is evicted; but an open request
/// keeps its entries until it is answered or its time is over, so its replies find their way back.
pub(crate) struct Conversations {
    entries: HashMap<ActivityId, Entry>,
    /// Entries that may be evicted, oldest first. May contain entries that are in use again.
    order: VecDeque<ActivityId>,
    entries_max: usize,
    /// Of all entries.
    bytes: usize,
    bytes_max: usize,
    idle: Duration,
    open: OpenRequests,
}

struct Entry {
    /// The instance that sent the message of this id.
    sender: Option<InstanceId>,
    /// The conversation of the message of this id, unless it is the one the message opened.
    part_of: Option<ActivityId>,
    /// Number of messages that led to the message of this id.
    hops: u32,
    /// The message of this id, if it is a request that waits for its reply.
    request: Option<OpenRequest>,
    /// Number of open requests that need this entry.
    pins: usize,
    participants: Vec<Participant>,
    /// Arrival of the message of this id.
    opened: Instant,
    used: Instant,
    /// Used again since it was queued for eviction.
    used_again: bool,
    /// True if the order of eviction contains it.
    is_queued: bool,
    /// Bytes that it was last counted for.
    bytes: usize,
}

/// An instance that takes part in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Participant {
    pub(crate) key: InstanceKey,
    /// The last message of the conversation that it received.
    last_received: Option<MessageId>,
}

impl Conversations {
    pub(crate) fn new(limits: &Config) -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            entries_max: limits.conversations_max,
            bytes: 0,
            bytes_max: limits.conversations_bytes_max,
            idle: limits.conversation_idle(),
            open: OpenRequests::new(limits.open_requests_max, limits.conversations_bytes_max),
        }
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

    /// Returns the number of messages that led to a message: at least what it states, and one more than those that led to
    /// the message it replies to.
    pub(crate) fn hops(&self, now: Instant, message: &Message) -> u32 {
        let request = message.response_to.as_ref().and_then(|id| self.entry(now, id.as_str()));
        let derived = request.map_or(0, |entry| entry.hops.saturating_add(1));
        message.properties.hops.max(derived)
    }

    /// Returns true if the message of this id is a request that waits for its reply.
    pub(crate) fn is_open(&self, id: &MessageId) -> bool {
        self.entries.get(id.as_str()).is_some_and(|entry| entry.request.is_some())
    }

    /// Returns true if the message of this id is no request that waits for its reply, or `role` is one of those that got it, or that
    /// of the requester itself.
    pub(crate) fn may_answer(&self, id: &MessageId, role: Option<&Role>) -> bool {
        let request = self.entries.get(id.as_str()).and_then(|entry| entry.request.as_ref());
        request.is_none_or(|request| {
            role.is_some_and(|role| request.role.as_ref() == Some(role) || request.answering.contains(role))
        })
    }

    /// Returns the role that waits for the reply to the message of this id.
    pub(crate) fn asker_role(&self, id: &MessageId) -> Option<&Role> {
        self.entries.get(id.as_str())?.request.as_ref()?.role.as_ref()
    }

    /// Returns true if the message is no request, or one more request may wait for its reply.
    pub(crate) fn has_capacity(&self, message: &Message) -> bool {
        message.properties.reply_to.is_none() || self.open.has_capacity() || self.is_open(&message.id)
    }

    /// Returns the number of requests that wait for their replies.
    pub(crate) fn open_requests(&self) -> usize {
        self.open.len()
    }

    /// Records a message that was routed. A request stays open from then on, and the reply to one ends it.
    pub(crate) fn record(&mut self, now: Instant, exchanged: Exchanged<'_, impl Iterator<Item = InstanceKey>>) {
        let Exchanged { message, conversation, origin: (sender, origin), receivers, absent, answering } = exchanged;
        let (id, asker) = (&message.id, message.properties.reply_to.as_ref());
        let opens = id.as_str() == conversation.as_str();
        let mut receivers_len = absent;
        let receivers = receivers.inspect(|_| receivers_len += 1);
        let entry = self.touch(now, conversation.clone());
        if asker.is_none() {
            entry.make_space();
        }
        entry.join_all(id, origin, receivers);
        let mut grown = entry.recount(conversation.as_str(), id);
        let entry = match opens {
            true => entry,
            false => self.touch(now, id.clone().into()),
        };
        // An open request keeps its sender, whatever message of the same id comes from another one.
        if entry.request.is_none() {
            entry.sender = sender.or(asker.map(|asker| &asker.instance)).or(entry.sender.as_ref()).cloned();
            entry.part_of = (!opens).then(|| conversation.clone());
            entry.hops = message.properties.hops;
        }
        grown += entry.recount(id.as_str(), id);
        self.bytes = self.bytes.saturating_add_signed(grown);
        if let Some(asker) = asker {
            self.open(now, message, (conversation, receivers_len, answering), asker);
        }
        if let Some(request) = &message.response_to {
            self.answered(&request.clone().into());
        }
        self.trim(now, TRIMMED_MAX);
    }

    /// Records that one receiver of a request will not answer it. Returns true if no other one may, which ends the request;
    /// also if there is no such request.
    pub(crate) fn failed(&mut self, id: &MessageId) -> bool {
        let id = ActivityId::from(id.clone());
        if let Some(request) = self.entries.get_mut(&id).and_then(|entry| entry.request.as_mut()) {
            request.receivers = request.receivers.saturating_sub(1);
            if request.receivers > 0 {
                return false;
            }
        }
        self.close(&id);
        true
    }

    /// Records that a message of the conversation goes to another instance.
    pub(crate) fn redirect(
        &mut self,
        now: Instant,
        id: &MessageId,
        conversation: &ActivityId,
        (to, role): (InstanceKey, &Role),
    ) {
        let entry = self.touch(now, conversation.clone());
        entry.join_all(id, None, std::iter::once(to));
        let grown = entry.recount(conversation.as_str(), id);
        self.bytes = self.bytes.saturating_add_signed(grown);
        if let Some(request) = self.entries.get_mut(id.as_str()).and_then(|entry| entry.request.as_mut())
            && !request.answering.contains(role)
        {
            request.answering.push(role.clone());
        }
        self.trim(now, TRIMMED_MAX);
    }

    /// Ends requests whose time is over, and evicts idle entries.
    pub(crate) fn sweep(&mut self, now: Instant) {
        for _ in 0..SWEPT_MAX {
            let Some(id) = self.open.next_overdue(now) else { break };
            self.close(&id);
        }
        self.trim(now, SWEPT_MAX);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn entry(&self, now: Instant, id: &str) -> Option<&Entry> {
        self.entries.get(id).filter(|entry| entry.pins > 0 || now.duration_since(entry.used) < self.idle)
    }

    /// Opens a request, or extends it if its sender repeats it.
    fn open(
        &mut self,
        now: Instant,
        message: &Message,
        (conversation, receivers, answering): (&ActivityId, usize, Vec<Role>),
        asker: &ReplyTo,
    ) {
        let id = ActivityId::from(message.id.clone());
        if self.asker_role(&message.id).is_some_and(|role| message.sender.as_ref() != Some(role)) {
            // Another role cannot take over a request by using its id.
            return;
        }
        self.close(&id);
        self.pin(conversation);
        let mut request = self.open.insert(now, id.clone(), conversation.clone(), (asker, message.sender.clone()));
        request.receivers = receivers;
        request.answering = answering;
        if let Some(entry) = self.pin(&id) {
            entry.request = Some(request);
        }
    }

    /// Ends a request that waits for one reply only.
    fn answered(&mut self, id: &ActivityId) {
        let request = self.entries.get(id).and_then(|entry| entry.request.as_ref());
        if request.is_some_and(|request| !request.many) {
            self.close(id);
        }
    }

    fn close(&mut self, id: &ActivityId) {
        let request = self.entries.get_mut(id).and_then(|entry| entry.request.take());
        let Some(request) = request else { return };
        self.open.remove(&request);
        self.unpin(id);
        self.unpin(&request.conversation);
    }

    fn pin(&mut self, id: &ActivityId) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(id)?;
        entry.pins += 1;
        Some(entry)
    }

    fn unpin(&mut self, id: &ActivityId) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.pins -= 1;
        if entry.pins == 0 && !entry.is_queued {
            entry.is_queued = true;
            self.order.push_back(id.clone());
        }
    }

    fn touch(&mut self, now: Instant, id: ActivityId) -> &mut Entry {
        let order = &mut self.order;
        let entry = self.entries.entry(id).or_insert_with_key(|id| {
            order.push_back(id.clone());
            Entry::new(now)
        });
        if entry.pins == 0 && now.duration_since(entry.used) >= self.idle {
            *entry = Entry { is_queued: entry.is_queued, bytes: entry.bytes, ..Entry::new(now) };
        }
        entry.used_again = entry.used != now;
        entry.used = now;
        entry
    }

    fn trim(&mut self, now: Instant, steps_max: usize) {
        for step in 1..=steps_max {
            let Some(id) = self.order.pop_front() else { return };
            let Some(entry) = self.entries.get_mut(id.as_str()) else { continue };
            if entry.pins > 0 {
                // It returns to the order when it is no longer needed.
                entry.is_queued = false;
                continue;
            }
            let idle = now.duration_since(entry.used) >= self.idle;
            let is_full = self.order.len() >= self.entries_max || self.bytes > self.bytes_max;
            if !idle && !is_full {
                self.order.push_front(id);
                return;
            }
            let is_spared = !idle && step < TRIMMED_MAX && std::mem::take(&mut entry.used_again);
            if is_spared {
                self.order.push_back(id);
            } else if let Some(evicted) = self.entries.remove(id.as_str()) {
                self.bytes -= evicted.bytes;
            }
        }
    }
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self {
            sender: None,
            part_of: None,
            hops: 0,
            request: None,
            pins: 0,
            participants: Vec::new(),
            opened: now,
            used: now,
            used_again: false,
            is_queued: true,
            bytes: 0,
        }
    }

    /// Counts the memory of this entry of the conversation, or message, `own` after it has got the message `received`. Returns
    /// the bytes by which it has grown.
    fn recount(&mut self, own: &str, received: &MessageId) -> isize {
        let texts = own.len() + received.as_str().len() + self.part_of.as_ref().map_or(0, |part| part.as_str().len());
        let bytes = ENTRY_BYTES + texts + self.participants.len() * size_of::<Participant>();
        let before = std::mem::replace(&mut self.bytes, bytes);
        bytes.cast_signed() - before.cast_signed()
    }

    /// Removes participants that came first, unless a request waits for one of them.
    fn make_space(&mut self) {
        if self.pins == 0 && self.participants.len() > PARTICIPANTS_MAX {
            self.participants.drain(..self.participants.len() - PARTICIPANTS_MAX);
        }
    }

    /// Adds the sender and the receivers of a message.
    fn join_all(&mut self, id: &MessageId, origin: Option<InstanceKey>, receivers: impl Iterator<Item = InstanceKey>) {
        if let Some(key) = origin {
            self.join(key, None);
        }
        for key in receivers {
            self.join(key, Some(id));
        }
    }

    /// Adds a participant, or updates what it received last.
    fn join(&mut self, key: InstanceKey, received: Option<&MessageId>) {
        if let Some(known) = self.participants.iter_mut().find(|other| other.key == key) {
            if received.is_some() {
                known.last_received = received.cloned();
            }
            return;
        }
        self.participants.push(Participant { key, last_received: received.cloned() });
    }
}

#[cfg(test)]
mod tests;
