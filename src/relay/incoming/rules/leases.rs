//! Queue of messages that followers are handed and acknowledge. A lease that ends without acknowledgement returns the
//! message to its place in the queue.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::followers::{Follower, Followers, Holder};
use crate::memory::Share;
use crate::message::{Message, MessageId, MessageName, Role};

/// A message that is handed to a follower, with the number of times it was handed to one, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) message: Message,
    pub(crate) attempt: u32,
}

/// Bounds of the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeaseLimits {
    /// Maximum number of messages, waiting or leased.
    pub(crate) messages_max: usize,
    /// Time that a follower has for a message.
    pub(crate) lease: Duration,
    /// Number of leases that may end without acknowledgement; then the message is given up.
    pub(crate) deliveries_max: u32,
    /// Maximum number of messages that a follower has without having acknowledged them.
    pub(crate) unacknowledged_max: usize,
}

/// Number of a message, in order of arrival.
type Ticket = u64;

/// A message that is not acknowledged yet.
struct Queued {
    message: Message,
    /// Time at which it came.
    since: Instant,
    /// Number of times it was handed out.
    attempts: u32,
    /// Number of leases that ended without acknowledgement.
    expired: u32,
    /// The follower that got it last.
    holder: Option<Holder>,
    lease: Option<Lease>,
    /// Time at which it waits again, after its follower has given it back.
    rests_until: Option<Instant>,
}

impl Queued {
    fn new(message: Message, since: Instant) -> Self {
        Self { message, since, attempts: 0, expired: 0, holder: None, lease: None, rests_until: None }
    }
}

struct Lease {
    /// Number of the handing out, in order.
    number: u64,
    until: Instant,
}

/// The queue and its followers. Messages of a name are handed out in order of arrival; of the followers that wait for one,
/// that with the fewest unacknowledged messages gets it. `W` wakes a follower.
///
/// A follower works through its messages one after the other or several at once, so the lease of each begins when it is
/// handed out, and again when the follower acknowledges one that it got before it. A follower that lets a lease end gets
/// one message at a time, after all others, until it acknowledges one.
pub(crate) struct Leases<W> {
    limits: LeaseLimits,
    messages: BTreeMap<Ticket, Queued>,
    /// Of these messages.
    bytes: Share,
    /// Messages that are neither leased nor given back.
    waiting: HashMap<MessageName, BTreeSet<Ticket>>,
    by_id: HashMap<MessageId, Vec<Ticket>>,
    /// Messages that their followers have given back, by the time at which they wait again.
    resting: BTreeSet<(Instant, Ticket)>,
    followers: Followers<W>,
    next_ticket: Ticket,
    next_lease: u64,
}

impl<W: Clone> Leases<W> {
    /// An empty queue whose messages count in `bytes`.
    pub(crate) fn new(limits: LeaseLimits, bytes: Share) -> Self {
        Self {
            bytes,
            limits: LeaseLimits { unacknowledged_max: limits.unacknowledged_max.max(1), ..limits },
            messages: BTreeMap::new(),
            waiting: HashMap::new(),
            by_id: HashMap::new(),
            resting: BTreeSet::new(),
            followers: Followers::new(),
            next_ticket: 0,
            next_lease: 0,
        }
    }

    /// Adds a follower of messages with these names; of all, if there are none. It gets at most `unacknowledged_max`
    /// messages that it has not acknowledged, within the bound of the queue.
    pub(crate) fn connect(&mut self, names: Vec<MessageName>, unacknowledged_max: Option<usize>, wake: W) -> Holder {
        let max = self.limits.unacknowledged_max;
        self.followers.add(names, unacknowledged_max.map_or(max, |wanted| wanted.clamp(1, max)), wake)
    }

    /// Number of connected followers.
    pub(crate) fn followers(&self) -> usize {
        self.followers.iter().count()
    }

    /// Removes a follower. Its messages wait again; these deliveries do not count as failed. Returns the followers to wake.
    pub(crate) fn disconnect(&mut self, holder: Holder, now: Instant) -> Vec<W> {
        for ticket in self.followers.remove(holder) {
            self.wait_again(ticket);
        }
        self.hand_out(now)
    }

    /// Queues a message. Returns the followers to wake, or `None` if the queue is full.
    pub(crate) fn offer(&mut self, message: Message, now: Instant) -> Option<Vec<W>> {
        if self.messages.len() >= self.limits.messages_max || self.bytes.try_add(message.memory_bytes()).is_err() {
            return None;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.by_id.entry(message.id.clone()).or_default().push(ticket);
        self.waiting.entry(message.name.clone()).or_default().insert(ticket);
        self.messages.insert(ticket, Queued::new(message, now));
        Some(self.hand_out(now))
    }

    /// Returns the next message for a follower. If there is none the follower waits: once it is woken there may be one.
    pub(crate) fn take(&mut self, holder: Holder, now: Instant) -> Option<Offered> {
        self.followers.begin_wait(holder);
        // Wakes nobody else: what others can get, they have got already.
        self.hand_out(now);
        let ticket = self.followers.take_given(holder)?;
        let queued = self.messages.get(&ticket).expect("a message that is given to a follower is in the queue");
        Some(Offered { message: queued.message.clone(), attempt: queued.attempts })
    }

    /// Removes a handled message: whichever follower has it, and also after its lease has ended. Among several with this id
    /// and sender (any, if `None`) the one that was handed out first. Returns the followers to wake, or `None` if no such
    /// message was handed out, or it was acknowledged already.
    pub(crate) fn acknowledge(&mut self, id: &MessageId, sender: Option<&Role>, now: Instant) -> Option<Vec<W>> {
        let ticket = self.handed_out(id, sender)?;
        self.conclude(ticket, now);
        Some(self.hand_out(now))
    }

    /// Removes the messages of this name, waiting or handed out. Returns their number, and the followers to wake.
    pub(crate) fn discard(&mut self, name: &MessageName, now: Instant) -> (usize, Vec<W>) {
        let of_name = self.messages.iter().filter(|(_, queued)| queued.message.name == *name);
        let tickets: Vec<Ticket> = of_name.map(|(ticket, _)| *ticket).collect();
        tickets.iter().for_each(|ticket| self.conclude(*ticket, now));
        (tickets.len(), self.hand_out(now))
    }

    /// Takes a message back that its follower cannot handle: it is delivered again after the time of a lease, and this
    /// delivery counts as failed. Meanwhile the follower may have another message. Returns the followers to wake, or `None`
    /// if no follower has such a message.
    pub(crate) fn give_back(&mut self, id: &MessageId, sender: Option<&Role>, now: Instant) -> Option<Vec<W>> {
        let ticket = self.handed_out(id, sender)?;
        let until = now + self.limits.lease;
        let queued = self.messages.get_mut(&ticket).expect("a message that was handed out is in the queue");
        let (lease, holder) = queued.lease.take_if(|_| queued.holder.is_some()).zip(queued.holder)?;
        queued.rests_until = Some(until);
        self.resting.insert((until, ticket));
        self.end_lease(holder, lease.number, now);
        Some(self.hand_out(now))
    }

    /// Ends leases whose time is over. Returns messages whose leases ended as often as allowed, with that number, and the
    /// followers to wake.
    pub(crate) fn expire(&mut self, now: Instant) -> (Vec<Offered>, Vec<W>) {
        let ended = |queued: &Queued| queued.lease.as_ref().is_some_and(|lease| lease.until <= now);
        let mut over: Vec<Ticket> = self.followers.held().filter(|ticket| ended(&self.messages[ticket])).collect();
        over.sort_unstable();
        let (mut given_up, mut again) = (Vec::new(), Vec::new());
        while let Some((_, ticket)) = self.resting.first().copied().filter(|(until, _)| *until <= now) {
            self.resting.pop_first();
            again.push(ticket);
        }
        for ticket in over {
            let queued = &self.messages[&ticket];
            if let Some((lease, holder)) = queued.lease.as_ref().zip(queued.holder) {
                self.followers.expired(holder, lease.number);
            }
            again.push(ticket);
        }
        for ticket in again {
            let queued = self.messages.get_mut(&ticket).expect("a message that was handed out is in the queue");
            queued.expired += 1;
            if queued.expired >= self.limits.deliveries_max {
                let Queued { message, expired, .. } = self.remove(ticket);
                given_up.push(Offered { message, attempt: expired });
            } else {
                self.wait_again(ticket);
            }
        }
        (given_up, self.hand_out(now))
    }

    /// Returns true if a follower reads messages of this name.
    pub(crate) fn has_reader(&self, name: &MessageName) -> bool {
        self.followers.iter().any(|follower| follower.reads(name))
    }

    /// Number of messages that wait for a follower.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.values().map(BTreeSet::len).sum()
    }

    /// Returns the name of the message that has waited longest for a follower, and the time at which it came.
    pub(crate) fn oldest(&self) -> Option<(&MessageName, Instant)> {
        let first = self.waiting.values().filter_map(BTreeSet::first).min()?;
        self.messages.get(first).map(|queued| (&queued.message.name, queued.since))
    }

    /// Returns the messages, waiting or leased.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.values().map(|queued| &queued.message)
    }

    /// Removes and returns the messages that no follower has at the moment, in order of arrival.
    pub(crate) fn take_unleased(&mut self) -> Vec<Message> {
        let unleased = self.messages.iter().filter(|(_, queued)| queued.lease.is_none());
        let tickets: Vec<Ticket> = unleased.map(|(ticket, _)| *ticket).collect();
        self.waiting.clear();
        self.resting.clear();
        tickets.into_iter().map(|ticket| self.remove(ticket).message).collect()
    }

    /// Number of messages whose name is `wanted`, waiting or leased.
    pub(crate) fn count(&self, wanted: impl Fn(&MessageName) -> bool) -> usize {
        self.messages.values().filter(|queued| wanted(&queued.message.name)).count()
    }

    /// Returns true if a message that this follower reads waits or is leased.
    pub(crate) fn has_message_for(&self, holder: Holder) -> bool {
        let follower = self.followers.get(holder);
        follower.is_some_and(|follower| self.messages.values().any(|queued| follower.reads(&queued.message.name)))
    }

    /// Returns what wakes every follower.
    pub(crate) fn all(&self) -> Vec<W> {
        self.followers.iter().map(|follower| follower.wake.clone()).collect()
    }

    /// Gives waiting messages to followers that wait. Returns those followers.
    fn hand_out(&mut self, now: Instant) -> Vec<W> {
        let mut woken = Vec::new();
        while let Some((holder, ticket)) = self.next_pair() {
            let number = self.next_lease;
            self.next_lease += 1;
            let queued = self.messages.get_mut(&ticket).expect("a waiting message is in the queue");
            queued.attempts = queued.attempts.saturating_add(1);
            queued.holder = Some(holder);
            queued.lease = Some(Lease { number, until: now + self.limits.lease });
            let name = queued.message.name.clone();
            self.forget_waiting(&name, ticket);
            woken.push(self.followers.give(holder, number, ticket));
        }
        woken
    }

    /// Returns the follower that is next, and the oldest message for it.
    fn next_pair(&self) -> Option<(Holder, Ticket)> {
        if self.waiting.is_empty() {
            return None;
        }
        let ready = self.followers.iter().filter(|follower| follower.is_ready());
        let pairs = ready.filter_map(|follower| Some((follower.rank(), follower.holder, self.oldest_for(follower)?)));
        pairs.min().map(|(_, holder, ticket)| (holder, ticket))
    }

    fn oldest_for(&self, follower: &Follower<W>) -> Option<Ticket> {
        let oldest = |tickets: &BTreeSet<Ticket>| tickets.first().copied();
        match follower.names.is_empty() {
            true => self.waiting.values().filter_map(oldest).min(),
            false => follower.names.iter().filter_map(|name| self.waiting.get(name)).filter_map(oldest).min(),
        }
    }

    fn wait_again(&mut self, ticket: Ticket) {
        let queued = self.messages.get_mut(&ticket).expect("a message that was handed out is in the queue");
        (queued.lease, queued.rests_until) = (None, None);
        self.waiting.entry(queued.message.name.clone()).or_default().insert(ticket);
    }

    fn forget_waiting(&mut self, name: &MessageName, ticket: Ticket) {
        let tickets = self.waiting.get_mut(name).expect("a message without a lease waits");
        tickets.remove(&ticket);
        if tickets.is_empty() {
            self.waiting.remove(name);
        }
    }

    /// Returns the message with this id and sender that was handed out first, leased ones before others.
    fn handed_out(&self, id: &MessageId, sender: Option<&Role>) -> Option<Ticket> {
        let tickets = self.by_id.get(id)?.iter().filter_map(|ticket| {
            let queued = &self.messages[ticket];
            let matches = queued.attempts > 0 && (sender.is_none() || queued.message.sender.as_ref() == sender);
            let order = queued.lease.as_ref().map_or(u64::MAX, |lease| lease.number);
            matches.then_some((order, *ticket))
        });
        tickets.min().map(|(_, ticket)| ticket)
    }

    /// Ends a lease that its follower has answered. Those that it got later start again.
    fn end_lease(&mut self, holder: Holder, number: u64, now: Instant) {
        for later in self.followers.acknowledged(holder, number) {
            let queued = self.messages.get_mut(&later).expect("a held message is in the queue");
            if let Some(lease) = &mut queued.lease {
                lease.until = now + self.limits.lease;
            }
        }
    }

    /// Removes a message that needs no more handling.
    fn conclude(&mut self, ticket: Ticket, now: Instant) {
        let Queued { holder, lease, message, rests_until, .. } = self.remove(ticket);
        match (lease, rests_until) {
            (Some(lease), _) => {
                if let Some(holder) = holder {
                    self.end_lease(holder, lease.number, now);
                }
                return;
            }
            (None, Some(until)) => drop(self.resting.remove(&(until, ticket))),
            (None, None) => self.forget_waiting(&message.name, ticket),
        }
        if let Some(holder) = holder {
            self.followers.is_alive(holder);
        }
    }

    fn remove(&mut self, ticket: Ticket) -> Queued {
        let queued = self.messages.remove(&ticket).expect("the message is in the queue");
        self.bytes.remove(queued.message.memory_bytes());
        if let Some(tickets) = self.by_id.get_mut(&queued.message.id) {
            tickets.retain(|other| *other != ticket);
            if tickets.is_empty() {
                self.by_id.remove(&queued.message.id);
            }
        }
        queued
    }
}

#[cfg(test)]
mod tests;
