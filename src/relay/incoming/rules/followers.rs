//! The followers of a queue, and the messages that each has without having acknowledged them.

use std::collections::BTreeMap;

use crate::message::MessageName;

/// Identifier of a follower's connection, which holds leases.
pub(crate) type Holder = u64;

/// A connected follower.
pub(super) struct Follower<W> {
    pub(super) holder: Holder,
    /// Names that it reads; all, if there are none.
    pub(super) names: Vec<MessageName>,
    pub(super) wake: W,
    unacknowledged_max: usize,
    /// Tickets of the messages that it has, by the number of their lease.
    held: BTreeMap<u64, u64>,
    next: Next,
    /// Number of the last lease that it got.
    last: u64,
    /// True from the end of a lease to the next acknowledgement.
    stalled: bool,
}

/// The next message for a follower.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It has not asked for one.
    Unasked,
    /// It waits for one.
    Wanted,
    /// It is to fetch the one with this ticket.
    Given(u64),
}

impl<W> Follower<W> {
    pub(super) fn reads(&self, name: &MessageName) -> bool {
        self.names.is_empty() || self.names.contains(name)
    }

    /// Returns true if it waits for a message and may have one.
    pub(super) fn is_ready(&self) -> bool {
        let max = if self.stalled { 1 } else { self.unacknowledged_max };
        self.next == Next::Wanted && self.held.len() < max
    }

    /// The lowest rank is first: those that acknowledge, then those with the fewest messages, then in turn.
    pub(super) fn rank(&self) -> (bool, usize, u64) {
        (self.stalled, self.held.len(), self.last)
    }
}

/// The connected followers.
pub(super) struct Followers<W> {
    followers: Vec<Follower<W>>,
    next_holder: Holder,
}

impl<W: Clone> Followers<W> {
    pub(super) fn new() -> Self {
        Self { followers: Vec::new(), next_holder: 1 }
    }

    pub(super) fn add(&mut self, names: Vec<MessageName>, unacknowledged_max: usize, wake: W) -> Holder {
        let holder = self.next_holder;
        self.next_holder += 1;
        let (held, next) = (BTreeMap::new(), Next::Unasked);
        self.followers.push(Follower { holder, names, wake, unacknowledged_max, held, next, last: 0, stalled: false });
        holder
    }

    /// Removes a follower and returns the tickets that it had.
    pub(super) fn remove(&mut self, holder: Holder) -> Vec<u64> {
        let index = self.followers.iter().position(|follower| follower.holder == holder);
        index.map_or_else(Vec::new, |index| self.followers.swap_remove(index).held.into_values().collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Follower<W>> {
        self.followers.iter()
    }

    pub(super) fn get(&self, holder: Holder) -> Option<&Follower<W>> {
        self.followers.iter().find(|follower| follower.holder == holder)
    }

    /// Tickets that followers have.
    pub(super) fn held(&self) -> impl Iterator<Item = u64> {
        self.followers.iter().flat_map(|follower| follower.held.values().copied())
    }

    /// Records that a follower waits for a message, unless one is ready for it.
    pub(super) fn begin_wait(&mut self, holder: Holder) {
        if let Some(follower) = self.get_mut(holder)
            && follower.next == Next::Unasked
        {
            follower.next = Next::Wanted;
        }
    }

    /// Returns the ticket that was given to a follower, which from then on no longer waits.
    pub(super) fn take_given(&mut self, holder: Holder) -> Option<u64> {
        let follower = self.get_mut(holder)?;
        let Next::Given(ticket) = follower.next else { return None };
        follower.next = Next::Unasked;
        Some(ticket)
    }

    /// Gives a ticket to a follower that waits, and returns what wakes it.
    pub(super) fn give(&mut self, holder: Holder, lease: u64, ticket: u64) -> W {
        let follower = self.get_mut(holder).expect("messages are given to connected followers");
        follower.next = Next::Given(ticket);
        follower.last = lease;
        follower.held.insert(lease, ticket);
        follower.wake.clone()
    }

    /// Records an acknowledgement, and returns the tickets that the follower got later.
    pub(super) fn acknowledged(&mut self, holder: Holder, lease: u64) -> Vec<u64> {
        let Some(follower) = self.get_mut(holder) else { return Vec::new() };
        follower.stalled = false;
        if let Some(ticket) = follower.held.remove(&lease)
            && follower.next == Next::Given(ticket)
        {
            // Somebody else was faster; this follower still waits for a message.
            follower.next = Next::Wanted;
        }
        follower.held.range(lease..).map(|(_, ticket)| *ticket).collect()
    }

    /// Records an acknowledgement that came after its lease.
    pub(super) fn is_alive(&mut self, holder: Holder) {
        if let Some(follower) = self.get_mut(holder) {
            follower.stalled = false;
        }
    }

    /// Ends a lease without acknowledgement.
    pub(super) fn expired(&mut self, holder: Holder, lease: u64) {
        let Some(follower) = self.get_mut(holder) else { return };
        follower.stalled = true;
        if let Some(ticket) = follower.held.remove(&lease)
            && follower.next == Next::Given(ticket)
        {
            // Not even fetched: it gets no other message before it asks for one.
            follower.next = Next::Unasked;
        }
    }

    fn get_mut(&mut self, holder: Holder) -> Option<&mut Follower<W>> {
        self.followers.iter_mut().find(|follower| follower.holder == holder)
    }
}
