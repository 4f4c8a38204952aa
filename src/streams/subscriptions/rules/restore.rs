//! Rebuilding the state of all subscriptions from the store.

use super::links::StreamUpdate;
use super::set::SubscriptionSet;
use super::subscription::{Link, Subscription};
use crate::streams::rules::Ledger;
use crate::streams::subscriptions::wire::{LinkEntry, SubscriptionEntry, SubscriptionId, WakeState};
use crate::streams::wire::{Offset, StreamPath};

impl SubscriptionSet {
    /// Adds a stored subscription. Retries and leases that lie too far ahead, because the clock was set back, are moved
    /// to the latest time they could have now.
    pub(crate) fn restore(&mut self, now_ms: u64, id: SubscriptionId, mut entry: SubscriptionEntry) {
        let lease_end_max_ms = now_ms.saturating_add(entry.terms.lease_ttl_ms);
        match &mut entry.wake {
            Some(WakeState::Due { next_ms, .. }) => *next_ms = (*next_ms).min(now_ms + self.limits.retry_wait_max_ms),
            Some(WakeState::Held { until_ms, .. }) => *until_ms = (*until_ms).min(lease_end_max_ms),
            Some(WakeState::Announced) | None => {}
        }
        self.insert(Subscription::new(id, entry));
    }

    /// Adds a stored link; ignored if its subscription does not exist.
    pub(crate) fn restore_link(&mut self, id: &SubscriptionId, path: StreamPath, entry: LinkEntry) {
        let (acked, tail) = (entry.acked(), Offset::START);
        self.link(id, &path, Link { log: entry.log, tail, acked, explicit: entry.explicit, stored: true });
    }

    /// Brings all links up to date with the streams: tails, deleted streams, and streams created since the last update.
    /// Call it after everything else is restored. Scans all streams.
    pub(crate) fn catch_up(&mut self, ledger: &Ledger) {
        let ids: Vec<SubscriptionId> = self.subscriptions.keys().cloned().collect();
        if ids.is_empty() {
            return;
        }
        for id in &ids {
            self.drop_removed_streams(id, ledger);
        }
        // In order of creation, so that the limit on links leaves out the same streams as before.
        let mut streams: Vec<_> = ledger.streams().filter(|(_, stream)| !stream.entry.deleted).collect();
        streams.sort_by_key(|(_, stream)| stream.entry.log);
        for (path, stream) in streams {
            self.apply_update(path, StreamUpdate::Current { log: stream.entry.log, tail: stream.next() });
        }
        ids.iter().for_each(|id| self.reschedule(id));
    }

    /// Drops the acknowledged offsets of streams that were deleted.
    fn drop_removed_streams(&mut self, id: &SubscriptionId, ledger: &Ledger) {
        let Some(subscription) = self.subscriptions.get(id) else { return };
        let removed = subscription.links.iter().filter_map(|(path, link)| {
            let stream = ledger.stream(path).filter(|stream| !stream.entry.deleted);
            let log = link.log.filter(|log| stream.is_none_or(|stream| stream.entry.log != *log))?;
            Some((path.clone(), log))
        });
        for (path, log) in removed.collect::<Vec<_>>() {
            self.apply_update(&path, StreamUpdate::Removed { log });
        }
    }
}
