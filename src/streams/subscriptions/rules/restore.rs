//! Rebuilding the state of all subscriptions from the store.

use super::budget::Size;
use super::changes::{put_link, put_subscription, remove_link};
use super::set::SubscriptionSet;
use super::subscription::{Link, StreamEnd, Subscription};
use crate::streams::rules::Ledger;
use crate::streams::subscriptions::wire::{LinkEntry, SubscriptionEntry, SubscriptionId, WakeState};
use crate::streams::wire::{Offset, StreamPath};

impl SubscriptionSet {
    /// Adds a stored subscription. Retries and leases that lie too far ahead, because the clock was set back, are moved
    /// to the latest time they could have now.
    pub(crate) fn restore(
        &mut self,
        (now_ms, ledger): (u64, &Ledger),
        id: SubscriptionId,
        mut entry: SubscriptionEntry,
    ) {
        let lease_end_max_ms = now_ms.saturating_add(entry.terms.lease_ttl_ms);
        match &mut entry.wake {
            Some(WakeState::Due { next_ms, .. }) => *next_ms = (*next_ms).min(now_ms + self.limits.retry_wait_max_ms),
            Some(WakeState::Held { until_ms, .. }) => *until_ms = (*until_ms).min(lease_end_max_ms),
            Some(WakeState::Announced) | None => {}
        }
        self.insert(ledger, Subscription::new(id, entry));
    }

    /// Adds a stored link; ignored if its subscription does not exist.
    pub(crate) fn restore_link(&mut self, id: &SubscriptionId, path: StreamPath, entry: LinkEntry) {
        let link = Link { log: entry.log, acked: entry.acked(), explicit: entry.explicit };
        self.link(id, &path, link);
    }

    /// Brings all links up to date with the streams. Call it after everything else is restored. Looks at all streams if there
    /// is a subscription of a version that linked all streams that match.
    pub(crate) fn catch_up(&mut self, ledger: &Ledger) {
        let ids: Vec<SubscriptionId> = self.subscriptions.keys().cloned().collect();
        for id in &ids {
            self.check_restored(ledger, id);
            self.link_unread(ledger, id);
            self.reschedule(id);
        }
    }

    /// Resets links whose stream was deleted, also if it was made again, and removes those that nothing needs any more.
    fn check_restored(&mut self, ledger: &Ledger, id: &SubscriptionId) {
        let Some(subscription) = self.subscriptions.get(id) else { return };
        for (path, link) in subscription.links.clone() {
            let end = StreamEnd::of(ledger, &path);
            let mut current = link;
            if link.log != end.map(|end| end.log) {
                (current.log, current.acked) = (end.map(|end| end.log), None);
            }
            if current.explicit || current.is_pending(end) {
                if current != link {
                    self.unwritten.push(put_link(id, &path, &current));
                    self.link(id, &path, current);
                }
                self.update_pending(id, &path, end);
            } else {
                self.unlink(id, &path);
                self.unwritten.push(remove_link(id, &path));
            }
        }
    }

    /// Links streams that are newer than a subscription of an earlier version, which counted those without a link as unread.
    fn link_unread(&mut self, ledger: &Ledger, id: &SubscriptionId) {
        let Some(subscription) = self.subscriptions.get(id).filter(|it| !it.entry.lazy_links) else { return };
        let unread = ledger.streams().filter(|(path, stream)| {
            let newer = stream.entry.log >= subscription.entry.since_log && stream.next() > Offset::START;
            newer && !stream.entry.deleted && !subscription.links.contains_key(*path) && subscription.matches(path)
        });
        // In order of creation, so that the limit on links leaves out the newest.
        let mut unread: Vec<_> = unread.map(|(path, stream)| (stream.entry.log, path.clone())).collect();
        unread.sort();
        for (log, path) in unread {
            let (own, count) = (self.subscriptions.get(id).map(|it| it.used), self.subscriptions.len());
            if !self.budget.admits(own.unwrap_or_default(), Size::of_link(id, &path), count) {
                break;
            }
            let link = Link { log: Some(log), acked: None, explicit: false };
            self.unwritten.push(put_link(id, &path, &link));
            self.link(id, &path, link);
            self.update_pending(id, &path, StreamEnd::of(ledger, &path));
        }
        if let Some(subscription) = self.subscriptions.get_mut(id) {
            subscription.entry.lazy_links = true;
            self.unwritten.push(put_subscription(subscription));
        }
    }
}
