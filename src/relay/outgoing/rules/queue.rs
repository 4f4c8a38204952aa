//! Messages that wait for the bus: two lanes, and the messages held back for a busy receiver.

mod entries;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use entries::Entry;
pub(crate) use entries::{Batch, Dropped, Waiting};

use crate::memory::{Budget, Exceeded, Share};
use crate::message::{InstanceId, Message, MessageName, Verdict};

/// Lane of a message. Replies have their own, since their requesters wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Messages that answer another.
    Reply,
    /// All other messages.
    Ordinary,
}

impl Lane {
    /// Returns the lane of a message.
    pub(crate) fn of(message: &Message) -> Self {
        if message.response_to.is_some() { Self::Reply } else { Self::Ordinary }
    }
}

/// Messages of one route keep their order. Those of other routes overtake them while their receiver is busy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Route {
    lane: Lane,
    name: MessageName,
    to: Option<InstanceId>,
}

impl Route {
    fn of(message: &Message) -> Self {
        Self { lane: Lane::of(message), name: message.name.clone(), to: message.properties.to.clone() }
    }
}

/// Reason why a message is not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// All places are taken.
    Full,
    /// The bytes of all messages have reached this bound.
    Bytes(Exceeded),
    /// The messages for the same busy receiver have as many places, or bytes, as are free. The rest is for other receivers.
    ReceiverBusy {
        /// Messages that wait for it.
        waiting: usize,
    },
    /// The queue has ended.
    Closed,
}

/// The message that has waited longest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Oldest {
    pub(crate) name: MessageName,
    pub(crate) since: Instant,
    /// True if its receiver is busy.
    pub(crate) is_held: bool,
}

/// Messages of one route whose receiver was busy.
struct Held {
    entries: VecDeque<Entry>,
    /// Bytes of these messages.
    bytes: usize,
    retry_at: Instant,
    /// Attempts in a row that found the receiver busy.
    refusals: u32,
    /// True while the first message is being published again.
    probing: bool,
}

/// Bounds of the outbox. Each lane has them for itself.
#[derive(Debug, Clone)]
pub(crate) struct QueueLimits {
    pub(crate) messages_max: usize,
    pub(crate) bytes_max: usize,
    /// The queues of the process.
    pub(crate) memory: Budget,
    pub(crate) retry_wait_max: Duration,
}

/// Places and bytes of the messages in one lane.
struct Taken {
    count: usize,
    bytes: Share,
}

/// Queue of the outbox. Each lane holds at most `messages_max` messages; they count until they are concluded.
pub(crate) struct Queue {
    messages_max: usize,
    retry_wait_max: Duration,
    replies: VecDeque<Entry>,
    ordinary: VecDeque<Entry>,
    held: HashMap<Route, Held>,
    replies_taken: Taken,
    ordinary_taken: Taken,
    /// The oldest message of the batch that is being published.
    in_flight: Option<(MessageName, Instant)>,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(limits: &QueueLimits) -> Self {
        let nothing = || Taken { count: 0, bytes: Share::new(&limits.memory, limits.bytes_max) };
        Self {
            messages_max: limits.messages_max.max(1),
            retry_wait_max: limits.retry_wait_max,
            replies: VecDeque::new(),
            ordinary: VecDeque::new(),
            held: HashMap::new(),
            replies_taken: nothing(),
            ordinary_taken: nothing(),
            in_flight: None,
            closed: false,
        }
    }

    /// Reserves a place for a message. It is taken until the message is concluded, or its place is given up.
    pub(crate) fn reserve(&mut self, message: &Message) -> Result<(), Rejected> {
        if self.closed {
            return Err(Rejected::Closed);
        }
        let (lane, bytes) = (Lane::of(message), message.memory_bytes());
        let taken = self.taken(lane);
        let free = self.messages_max - taken.count;
        if free == 0 {
            return Err(Rejected::Full);
        }
        let checked = match lane {
            // What fills the queues of the process may wait for this reply.
            Lane::Reply => taken.bytes.check_own(bytes),
            Lane::Ordinary => taken.bytes.check(bytes),
        };
        checked.map_err(Rejected::Bytes)?;
        let free_bytes = taken.bytes.bytes_max().saturating_sub(taken.bytes.held());
        if !self.held.is_empty()
            && let Some(held) = self.held.get(&Route::of(message))
            && (held.entries.len() >= free || held.bytes.saturating_add(bytes) > free_bytes)
        {
            return Err(Rejected::ReceiverBusy { waiting: held.entries.len() });
        }
        let taken = self.taken_mut(lane);
        taken.count += 1;
        taken.bytes.add(bytes);
        Ok(())
    }

    /// Queues a message that has a place.
    pub(crate) fn push(&mut self, message: Message, waiting: Waiting) {
        let lane = Lane::of(&message);
        self.ready(lane).push_back((message, waiting));
    }

    /// Gives up the place of a message that is published, dropped or refused.
    pub(crate) fn give_up(&mut self, message: &Message) {
        let taken = self.taken_mut(Lane::of(message));
        assert!(taken.count > 0, "a message is concluded once");
        taken.count -= 1;
        taken.bytes.remove(message.memory_bytes());
    }

    /// Moves up to `messages_max` messages into the empty `batch`: replies first, one message of each route that is to be
    /// tried again, then the others. Messages whose receiver is busy are held back; new requests leave the queue instead.
    pub(crate) fn take(&mut self, now: Instant, messages_max: usize, batch: &mut Batch, dropped: &mut Vec<Dropped>) {
        // Replies leave a quarter to the others, so that neither lane starves.
        let reserved = self.ordinary.len().min(messages_max / 4);
        self.fill(Lane::Reply, now, messages_max - reserved, batch, dropped);
        self.drop_overdue(now, dropped);
        for held in self.held.values_mut().filter(|held| !held.probing && held.retry_at <= now) {
            if batch.messages.len() >= messages_max {
                break;
            }
            if let Some(first) = held.pop() {
                held.probing = true;
                batch.push(first);
            }
        }
        self.fill(Lane::Ordinary, now, messages_max, batch, dropped);
        let oldest = batch.waiting.iter().zip(&batch.messages).min_by_key(|(waiting, _)| waiting.since);
        self.in_flight = oldest.map(|(waiting, message)| (message.name.clone(), waiting.since));
    }

    /// Drops the requests whose turn to be tried again comes when their requesters no longer wait.
    fn drop_overdue(&mut self, now: Instant, dropped: &mut Vec<Dropped>) {
        self.held.retain(|_, held| {
            while !held.probing
                && held.retry_at <= now
                && let Some((message, _)) = held.entries.pop_front_if(|(_, waiting)| waiting.is_overdue(now))
            {
                held.bytes -= message.memory_bytes();
                dropped.push(Dropped::Overdue(message));
            }
            held.probing || !held.entries.is_empty()
        });
    }

    fn fill(&mut self, lane: Lane, now: Instant, len_max: usize, batch: &mut Batch, dropped: &mut Vec<Dropped>) {
        while batch.messages.len() < len_max {
            let Some((message, waiting)) = self.ready(lane).pop_front() else { return };
            if waiting.is_overdue(now) {
                dropped.push(Dropped::Overdue(message));
                continue;
            }
            if self.held.is_empty() {
                batch.push((message, waiting));
                continue;
            }
            match self.held.get_mut(&Route::of(&message)) {
                None => batch.push((message, waiting)),
                Some(held) if waiting.fails_if_busy() => {
                    let retry_after = held.retry_at.saturating_duration_since(now);
                    dropped.push(Dropped::Busy(message, retry_after.max(Duration::from_millis(1))));
                }
                Some(held) => {
                    held.bytes += message.memory_bytes();
                    held.entries.push_back((message, waiting));
                }
            }
        }
    }

    /// Takes back what the bus has not decided on, after a call that gave `verdicts` on the first messages of `batch`.
    /// Messages whose receiver is busy are held back, in order; new requests are not, and leave with the others. Empties
    /// the batch. The places of the messages that leave are free.
    pub(crate) fn settle(&mut self, batch: &mut Batch, verdicts: &[Verdict], now: Instant) {
        for (message, verdict) in batch.messages.iter().zip(verdicts) {
            match verdict {
                Verdict::Busy { retry_after } => self.hold(Route::of(message), *retry_after, now),
                Verdict::Accepted | Verdict::NoReceivers | Verdict::Forbidden { .. } | Verdict::Refused { .. } => {
                    if !self.held.is_empty() {
                        self.release(&Route::of(message));
                    }
                }
            }
        }
        let judged = verdicts.len();
        let entries = batch.messages.drain(..).zip(batch.waiting.drain(..)).enumerate().rev();
        // From the last to the first, so that each goes in front of those behind it.
        for (index, (message, waiting)) in entries {
            let busy = index < judged && matches!(verdicts[index], Verdict::Busy { .. });
            if index < judged && (!busy || waiting.fails_if_busy()) {
                self.give_up(&message);
                continue;
            }
            let held = if self.held.is_empty() { None } else { self.held.get_mut(&Route::of(&message)) };
            match held {
                Some(held) => {
                    held.probing = false;
                    held.bytes += message.memory_bytes();
                    held.entries.push_front((message, waiting));
                }
                None => self.ready(Lane::of(&message)).push_front((message, waiting)),
            }
        }
        // Holds for the sake of requests only, which have left.
        self.held.retain(|_, held| !held.entries.is_empty());
        self.in_flight = None;
    }

    /// Removes the requests that were never published, because the bus cannot be reached.
    pub(crate) fn drop_unpublished_requests(&mut self) -> Vec<Message> {
        let mut removed = Vec::new();
        for entries in [&mut self.replies, &mut self.ordinary] {
            let is_unpublished = |(_, waiting): &Entry| waiting.until.is_some() && !waiting.attempted;
            if entries.iter().any(is_unpublished) {
                let (unpublished, rest): (VecDeque<Entry>, VecDeque<Entry>) =
                    std::mem::take(entries).into_iter().partition(is_unpublished);
                *entries = rest;
                removed.extend(unpublished.into_iter().map(|(message, _)| message));
            }
        }
        removed.iter().for_each(|message| self.give_up(message));
        removed
    }

    /// Returns the time at which messages that are held back can be tried again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.held.values().filter(|held| !held.probing).map(|held| held.retry_at).min()
    }

    /// Number of messages that are not concluded.
    pub(crate) fn len(&self) -> usize {
        self.replies_taken.count + self.ordinary_taken.count
    }

    /// Number of messages that are held back.
    pub(crate) fn held(&self) -> usize {
        self.held.values().map(|held| held.entries.len()).sum()
    }

    /// Returns the message that has waited longest.
    pub(crate) fn oldest(&self) -> Option<Oldest> {
        let oldest =
            |(message, waiting): &Entry, is_held| Oldest { name: message.name.clone(), since: waiting.since, is_held };
        let ready = self.replies.front().into_iter().chain(self.ordinary.front()).map(|entry| oldest(entry, false));
        let held = self.held.values().filter_map(|held| Some(oldest(held.entries.front()?, true)));
        let in_flight =
            self.in_flight.iter().map(|(name, since)| Oldest { name: name.clone(), since: *since, is_held: false });
        ready.chain(held).chain(in_flight).min_by_key(|oldest| oldest.since)
    }

    /// Accepts no more messages, if there is none. Returns true once that is so.
    pub(crate) fn end(&mut self) -> bool {
        self.closed |= self.len() == 0;
        self.closed
    }

    fn hold(&mut self, route: Route, retry_after: Duration, now: Instant) {
        let fresh = || Held { entries: VecDeque::new(), bytes: 0, retry_at: now, refusals: 0, probing: true };
        let held = self.held.entry(route).or_insert_with(fresh);
        // Once per attempt: the messages behind the first one are busy for its sake.
        if std::mem::take(&mut held.probing) {
            let doubled = retry_after.saturating_mul(1 << held.refusals.min(16));
            // Whatever the other end asks for: nobody else may stop this queue for good.
            held.retry_at = now + doubled.min(self.retry_wait_max);
            held.refusals += 1;
        }
    }

    /// Returns the messages of a route to the front of their lane, since the receiver has taken the first one.
    fn release(&mut self, route: &Route) {
        if !self.held.get(route).is_some_and(|held| held.probing) {
            return;
        }
        let Some(mut held) = self.held.remove(route) else { return };
        let ready = self.ready(route.lane);
        held.entries.append(ready);
        *ready = held.entries;
    }

    fn ready(&mut self, lane: Lane) -> &mut VecDeque<Entry> {
        match lane {
            Lane::Reply => &mut self.replies,
            Lane::Ordinary => &mut self.ordinary,
        }
    }

    fn taken(&self, lane: Lane) -> &Taken {
        match lane {
            Lane::Reply => &self.replies_taken,
            Lane::Ordinary => &self.ordinary_taken,
        }
    }

    fn taken_mut(&mut self, lane: Lane) -> &mut Taken {
        match lane {
            Lane::Reply => &mut self.replies_taken,
            Lane::Ordinary => &mut self.ordinary_taken,
        }
    }
}

impl Held {
    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.0.memory_bytes();
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
