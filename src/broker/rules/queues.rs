//! Every accepted message that is not delivered yet, in the queue of an instance or in the backlog of an absent role,
//! and the limits on all of them together.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::{Attempt, Backlog, Envelope, InstanceKey, Lanes, Portion, Queue, Reason, Taken};
use crate::broker::config::Config;
use crate::memory::{Budget, Share};
use crate::message::{MessageName, Role};

/// The number of undelivered messages and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// Figures of one role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RoleFigures {
    /// Instances on the roster.
    pub(crate) instances: usize,
    /// Messages that are not delivered.
    pub(crate) messages: usize,
    /// Time for which the oldest of them that is not in delivery has waited.
    pub(crate) oldest: Duration,
}

/// Limits on undelivered messages.
#[derive(Debug, Clone)]
pub(crate) struct QueueLimits {
    /// Messages in one queue or backlog.
    pub(crate) messages_max: usize,
    /// Bytes in all queues and backlogs together.
    pub(crate) bytes_max: usize,
    /// The queues of the process.
    pub(crate) memory: Budget,
    /// Roles with a backlog.
    pub(crate) backlogs_max: usize,
    /// Time after which an undelivered message is given up.
    pub(crate) window: Duration,
}

/// A queue as operators see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct QueueView {
    /// Number of envelopes, those in delivery included.
    pub(crate) messages: usize,
    /// Time at which the oldest of them was accepted.
    pub(crate) oldest: Option<Instant>,
    /// True if the service behind the receiver does not answer.
    pub(crate) is_away: bool,
}

/// State of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occupancy {
    /// Nothing is in it.
    Idle,
    /// Everything in it is in delivery.
    Delivering,
    /// Something waits for its delivery to begin.
    Waiting,
}

/// Memory that an envelope counts for besides its payload and auth value: names, ids, and itself.
const TEXTS_BYTES: usize = 1024;

/// Ranking of the longest queue of a receiver whose service answers, and the shortest one of a receiver whose service
/// does not.
pub(crate) const AWAY: usize = usize::MAX / 2;

/// An envelope whose window has passed, and the last failure of its receiver.
pub(crate) type Late = (Envelope, Option<String>);

/// The queues of all instances and the backlogs of absent roles.
pub(crate) struct Queues {
    queues: BTreeMap<InstanceKey, Queue>,
    backlogs: HashMap<Role, Backlog>,
    held: Held,
    limits: QueueLimits,
}

/// All envelopes, and the memory that they take.
struct Held {
    load: Load,
    memory: Share,
}

impl QueueLimits {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            messages_max: config.queue_messages_max,
            bytes_max: config.queue_bytes_max,
            memory: config.memory.clone(),
            backlogs_max: config.instances_max,
            window: config.delivery_window(),
        }
    }
}

impl Held {
    fn add(&mut self, envelope: &Envelope) {
        self.load.messages += 1;
        self.load.bytes += envelope.bytes();
        self.memory.add(envelope.bytes() + TEXTS_BYTES);
    }

    fn subtract(&mut self, envelope: &Envelope) {
        self.load.messages -= 1;
        self.load.bytes -= envelope.bytes();
        self.memory.remove(envelope.bytes() + TEXTS_BYTES);
    }
}

impl Queues {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        let held = Held { load: Load::default(), memory: Share::new(&limits.memory, usize::MAX) };
        Self { queues: BTreeMap::new(), backlogs: HashMap::new(), held, limits }
    }

    pub(crate) fn load(&self) -> Load {
        self.held.load
    }

    /// Opens an empty queue.
    pub(crate) fn open(&mut self, key: InstanceKey) {
        self.queues.insert(key, Queue::new());
    }

    /// Removes a queue and returns what was in it, in order.
    pub(crate) fn close(&mut self, key: InstanceKey) -> VecDeque<Envelope> {
        let envelopes = self.queues.remove(&key).map(|mut queue| queue.drain()).unwrap_or_default();
        envelopes.iter().for_each(|envelope| self.held.subtract(envelope));
        envelopes
    }

    /// Returns the queue of an instance for a listing.
    pub(crate) fn view(&self, key: InstanceKey) -> QueueView {
        let view = |queue: &Queue| QueueView {
            messages: queue.len(),
            oldest: queue.oldest_of_all(),
            is_away: queue.is_away(),
        };
        self.queues.get(&key).map(view).unwrap_or_default()
    }

    /// Returns the backlogs of absent roles for a listing.
    pub(crate) fn backlogs(&self) -> impl Iterator<Item = (&Role, QueueView)> {
        let view = |backlog: &Backlog| QueueView { messages: backlog.len(), oldest: backlog.oldest(), is_away: true };
        self.backlogs.iter().map(move |(role, backlog)| (role, view(backlog)))
    }

    /// Returns the number of envelopes in a queue for the choice of a receiver: [`AWAY`] more for one whose service does
    /// not answer.
    pub(crate) fn ranking(&self, key: InstanceKey) -> usize {
        let ranking = |queue: &Queue| queue.len() + if queue.is_away() { AWAY } else { 0 };
        self.queues.get(&key).map_or(usize::MAX, ranking)
    }

    /// Records that the service behind a receiver answers, or does not. Returns true if that has changed.
    pub(crate) fn set_away(&mut self, key: InstanceKey, is_away: bool) -> bool {
        let Some(queue) = self.queues.get_mut(&key) else { return false };
        let was_away = queue.is_away();
        queue.set_away(is_away);
        was_away != is_away
    }

    /// Returns true if the service behind a receiver does not answer.
    pub(crate) fn is_away(&self, key: InstanceKey) -> bool {
        self.queues.get(&key).is_some_and(Queue::is_away)
    }

    /// Removes and returns what may go to another instance and is not in delivery, in order.
    pub(crate) fn take_movable(&mut self, key: InstanceKey) -> VecDeque<Envelope> {
        let envelopes = self.queues.get_mut(&key).map(Queue::take_movable).unwrap_or_default();
        envelopes.iter().for_each(|envelope| self.held.subtract(envelope));
        envelopes
    }

    /// Returns the time at which the oldest envelope was accepted that is not in delivery.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let queues = self.queues.values().filter_map(Queue::oldest);
        queues.chain(self.backlogs.values().filter_map(Backlog::oldest)).min()
    }

    /// Returns the length of the queue of an instance, and the time at which the oldest envelope was accepted that is not in
    /// delivery.
    pub(crate) fn waiting(&self, key: InstanceKey) -> (usize, Option<Instant>) {
        self.queues.get(&key).map_or((0, None), |queue| (queue.len(), queue.oldest()))
    }

    /// Returns the same of the roles that have no instance.
    pub(crate) fn waiting_for_absent(&self) -> impl Iterator<Item = (&Role, (usize, Option<Instant>))> {
        self.backlogs.iter().map(|(role, backlog)| (role, (backlog.len(), backlog.oldest())))
    }

    pub(crate) fn is_idle(&self, key: InstanceKey) -> bool {
        self.queues.get(&key).is_some_and(Queue::is_idle)
    }

    pub(crate) fn is_delivering(&self, key: InstanceKey) -> bool {
        self.queues.get(&key).is_some_and(Queue::is_delivering)
    }

    /// Returns true if a queue takes a new message of `bytes`.
    pub(crate) fn has_capacity(&self, key: InstanceKey, bytes: usize) -> bool {
        let has_capacity = |queue: &Queue| queue.len() < self.limits.messages_max && self.is_fair(queue.bytes(), bytes);
        self.queues.get(&key).is_some_and(has_capacity)
    }

    /// Returns true if a queue takes a new urgent message of `bytes`. The other messages in it do not count.
    pub(crate) fn has_urgent_capacity(&self, key: InstanceKey, bytes: usize) -> bool {
        let has_capacity = |queue: &Queue| queue.urgent_len() < self.limits.messages_max;
        self.queues.get(&key).is_some_and(has_capacity) && self.has_bytes(bytes)
    }

    /// Returns true if the backlog of a role may grow by a new message of `bytes`.
    pub(crate) fn has_backlog_capacity(&self, role: &Role, bytes: usize) -> bool {
        self.is_fair(self.backlogs.get(role).map_or(0, Backlog::bytes), bytes)
    }

    /// Returns true if a queue may hold an envelope that was accepted before.
    pub(crate) fn fits(&self, key: InstanceKey, envelope: &Envelope) -> bool {
        let max = self.limits.messages_max;
        let fits = |queue: &Queue| match envelope.urgent {
            true => queue.urgent_len() < max,
            false => queue.len() - queue.staged_len() < max && queue.staged_len() < max,
        };
        self.queues.get(&key).is_some_and(fits) && self.has_bytes(envelope.bytes())
    }

    /// Adds an envelope to a queue. Returns the state in which the queue was.
    pub(crate) fn insert(&mut self, key: InstanceKey, envelope: Envelope) -> Occupancy {
        let Some(queue) = self.queues.get_mut(&key) else { return Occupancy::Waiting };
        let before = match (queue.is_idle(), queue.is_taken()) {
            (true, _) => Occupancy::Idle,
            (false, true) => Occupancy::Delivering,
            (false, false) => Occupancy::Waiting,
        };
        self.held.add(&envelope);
        queue.insert(envelope);
        before
    }

    /// Adds an envelope of another queue; [`Queues::merge_staged`] puts all of them in order at once.
    pub(crate) fn stage(&mut self, key: InstanceKey, envelope: Envelope) {
        let Some(queue) = self.queues.get_mut(&key) else { return };
        self.held.add(&envelope);
        queue.stage(envelope);
    }

    /// Puts the staged envelopes of a queue in order.
    pub(crate) fn merge_staged(&mut self, key: InstanceKey) {
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.merge_staged();
        }
    }

    /// Adds an envelope to the backlog of its role, or returns it if that is full.
    pub(crate) fn insert_backlog(&mut self, envelope: Envelope) -> Option<Envelope> {
        let has_capacity = match self.backlogs.get(&envelope.role) {
            Some(backlog) => backlog.len() < self.limits.messages_max,
            None => self.backlogs.len() < self.limits.backlogs_max,
        };
        if !has_capacity || !self.has_bytes(envelope.bytes()) {
            return Some(envelope);
        }
        self.held.add(&envelope);
        self.backlogs.entry(envelope.role.clone()).or_default().insert(envelope);
        None
    }

    /// Removes and returns what waits for absent roles.
    pub(crate) fn take_backlogs(&mut self) -> Vec<Envelope> {
        let waiting: Vec<_> = self.backlogs.drain().flat_map(|(_, backlog)| backlog.into_envelopes()).collect();
        waiting.iter().for_each(|envelope| self.held.subtract(envelope));
        waiting
    }

    /// Removes the backlog of a role and returns it, in order.
    pub(crate) fn take_backlog(&mut self, role: &Role) -> VecDeque<Envelope> {
        let envelopes = self.backlogs.remove(role).map(Backlog::into_envelopes).unwrap_or_default();
        envelopes.iter().for_each(|envelope| self.held.subtract(envelope));
        envelopes
    }

    /// Starts a delivery, see [`Queue::take`]. Returns its messages and the envelopes that have expired.
    pub(crate) fn take(
        &mut self,
        key: InstanceKey,
        lanes: Lanes,
        portion: Portion,
        now: Instant,
    ) -> (Taken, Vec<Late>) {
        let Some(queue) = self.queues.get_mut(&key) else { return (Taken::default(), Vec::new()) };
        let mut late = Vec::new();
        let taken = queue.take(lanes, portion, (now, self.limits.window), &mut late);
        late.iter().for_each(|envelope| self.held.subtract(envelope));
        let late = late.into_iter().map(|envelope| (envelope, queue.last_failure()));
        (taken, late.collect())
    }

    /// See [`Queue::conclude_single`].
    pub(crate) fn conclude_single(&mut self, key: InstanceKey, sequence: u64) {
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.conclude_single(sequence);
        }
    }

    /// Ends a delivery. Returns the delivered messages, and the rejected ones.
    pub(crate) fn record_outcome(
        &mut self,
        key: InstanceKey,
        attempt: Attempt,
    ) -> (Vec<Envelope>, Vec<(Envelope, Reason)>) {
        let Some(queue) = self.queues.get_mut(&key) else { return (Vec::new(), Vec::new()) };
        let (delivered, rejected) = queue.record_outcome(attempt);
        let finished = delivered.iter().chain(rejected.iter().map(|(envelope, _)| envelope));
        finished.for_each(|envelope| self.held.subtract(envelope));
        (delivered, rejected)
    }

    /// Adds an envelope that its receiver has, but has not answered, see [`Queue::defer`]. Returns it if there is no such
    /// queue.
    pub(crate) fn defer(&mut self, key: InstanceKey, envelope: Envelope) -> Option<Envelope> {
        let Some(queue) = self.queues.get_mut(&key) else { return Some(envelope) };
        self.held.add(&envelope);
        queue.defer(envelope);
        None
    }

    /// Returns true if the receiver has envelopes that it has not answered yet.
    pub(crate) fn has_deferred(&self, key: InstanceKey) -> bool {
        self.queues.get(&key).is_some_and(Queue::has_deferred)
    }

    /// Removes and returns a deferred envelope, now that it is answered.
    pub(crate) fn complete_deferred(&mut self, key: InstanceKey, sequence: u64) -> Option<Envelope> {
        let envelope = self.queues.get_mut(&key)?.complete_deferred(sequence)?;
        self.held.subtract(&envelope);
        Some(envelope)
    }

    /// Removes and returns every envelope whose window has passed.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Late> {
        let (window, mut expired, mut late) = (self.limits.window, Vec::new(), Vec::new());
        for queue in self.queues.values_mut() {
            queue.expire(now, window, &mut late);
            expired.extend(late.drain(..).map(|envelope| (envelope, queue.last_failure())));
        }
        self.backlogs.retain(|_, backlog| {
            backlog.expire(now, window, &mut late);
            backlog.len() > 0
        });
        expired.extend(late.into_iter().map(|envelope| (envelope, None)));
        expired.iter().for_each(|(envelope, _)| self.held.subtract(envelope));
        expired
    }

    /// Removes and returns every envelope, in the order of acceptance. The queues stay open.
    pub(crate) fn drain(&mut self) -> Vec<Envelope> {
        let mut envelopes: Vec<_> = self.backlogs.drain().flat_map(|(_, backlog)| backlog.into_envelopes()).collect();
        envelopes.extend(self.queues.values_mut().flat_map(Queue::drain));
        envelopes.sort_by_key(|envelope| envelope.sequence);
        envelopes.iter().for_each(|envelope| self.held.subtract(envelope));
        envelopes
    }

    /// Changes the names of the messages in a queue; `name_of` returns the receiver's name for a public name.
    pub(crate) fn rename(&mut self, key: InstanceKey, name_of: impl Fn(&MessageName) -> MessageName) {
        let envelopes = self.queues.get_mut(&key).into_iter().flat_map(Queue::waiting_mut);
        envelopes.for_each(|envelope| envelope.message.name = name_of(&envelope.public));
    }

    fn has_bytes(&self, bytes: usize) -> bool {
        self.held.load.bytes.saturating_add(bytes) <= self.limits.bytes_max
    }

    /// Returns true if a queue that holds `held` bytes may hold `bytes` more. None may hold more than it leaves to all
    /// others together, so receivers that take nothing cannot use up the capacity of those that do.
    fn is_fair(&self, held: usize, bytes: usize) -> bool {
        let is_fair = held.saturating_add(bytes) <= self.limits.bytes_max.saturating_sub(self.held.load.bytes);
        is_fair && self.has_memory(bytes)
    }

    /// Returns true if the queues of the process may hold an envelope of `bytes` more. Urgent ones do not ask: what fills the
    /// queues may wait for them.
    fn has_memory(&self, bytes: usize) -> bool {
        self.held.memory.check(bytes.saturating_add(TEXTS_BYTES)).is_ok()
    }
}

#[cfg(test)]
mod tests;
