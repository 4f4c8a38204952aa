//! The times at which subscriptions need attention.

use std::collections::BTreeSet;

use crate::streams::subscriptions::wire::SubscriptionId;

/// The time at which a subscription needs attention, in milliseconds since 1970; 0 is at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    At(u64),
    /// At this time, if another delivery may start.
    WithCapacity(u64),
}

/// Subscriptions ordered by the time they are due. Deliveries are kept apart, because they also need capacity.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    due: BTreeSet<(u64, SubscriptionId)>,
    deliveries: BTreeSet<(u64, SubscriptionId)>,
}

impl Schedule {
    pub(super) fn insert(&mut self, due: Due, id: &SubscriptionId) {
        match due {
            Due::At(at_ms) => self.due.insert((at_ms, id.clone())),
            Due::WithCapacity(at_ms) => self.deliveries.insert((at_ms, id.clone())),
        };
    }

    pub(super) fn remove(&mut self, due: Due, id: &SubscriptionId) {
        match due {
            Due::At(at_ms) => self.due.remove(&(at_ms, id.clone())),
            Due::WithCapacity(at_ms) => self.deliveries.remove(&(at_ms, id.clone())),
        };
    }

    /// Returns the earliest time at which a subscription is due. `capacity` is the number of deliveries that may start.
    pub(super) fn next_ms(&self, capacity: usize) -> Option<u64> {
        let deliveries = self.deliveries.first().filter(|_| capacity > 0);
        self.due.first().into_iter().chain(deliveries).map(|(at_ms, _)| *at_ms).min()
    }

    /// Returns a subscription that is due now; deliveries come last.
    pub(super) fn next(&self, now_ms: u64, capacity: usize) -> Option<SubscriptionId> {
        let deliveries = self.deliveries.first().filter(|_| capacity > 0);
        let is_due = |entry: &&(u64, SubscriptionId)| entry.0 <= now_ms;
        self.due.first().filter(is_due).or(deliveries.filter(is_due)).map(|(_, id)| id.clone())
    }
}
