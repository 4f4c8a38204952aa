//! Rebuilding the state of all subscriptions from what is stored.

use super::board::Board;
use super::linking::Seen;
use super::subscription::{Link, Subscription};
use crate::streams::rules::Ledger;
use crate::streams::subscriptions::wire::{LinkEntry, Secret, Stage, SubscriptionEntry, SubscriptionId};
use crate::streams::wire::StreamPath;

impl Board {
    /// Puts back what a store has kept of a subscription. Times that a clock which was set back has put out of reach
    /// come as early as they would have at most.
    pub(crate) fn restore(&mut self, now_ms: u64, id: SubscriptionId, mut entry: SubscriptionEntry) {
        let lease_ends_ms = now_ms.saturating_add(entry.terms.lease_ttl_ms);
        match &mut entry.wake {
            Some(Stage::Due { next_ms, .. }) => *next_ms = (*next_ms).min(now_ms + self.bounds.retry_wait_max_ms),
            Some(Stage::Held { until_ms, .. }) => *until_ms = (*until_ms).min(lease_ends_ms),
            Some(Stage::Announced) | None => {}
        }
        self.enter(Subscription::new(id, entry));
    }

    /// Puts back what a store has kept of a link. One of a subscription that is not there is left out.
    pub(crate) fn restore_link(&mut self, id: &SubscriptionId, path: StreamPath, entry: LinkEntry) {
        let LinkEntry { log, acked, explicit } = entry;
        self.link(id, &path, Link { log, tail: 0, acked, explicit, written: true });
    }

    /// Puts back what a store has kept of a secret.
    pub(crate) fn restore_secret(&mut self, secret: Secret) {
        self.secret = Some(secret);
    }

    /// Brings the links up to what the streams are now: ends, lives that are over, and streams that came while nobody
    /// was told. Comes last. Takes a look at every stream.
    pub(crate) fn catch_up(&mut self, ledger: &Ledger) {
        let ids: Vec<SubscriptionId> = self.subscriptions.keys().cloned().collect();
        if ids.is_empty() {
            return;
        }
        for id in &ids {
            self.forget_lives(id, ledger);
        }
        // In the order in which they were created, so that a bound leaves the same ones out as before.
        let mut streams: Vec<_> = ledger.streams().filter(|(_, stream)| !stream.entry.deleted).collect();
        streams.sort_by_key(|(_, stream)| stream.entry.log);
        for (path, stream) in streams {
            self.observe(path, Seen::There { log: stream.entry.log, tail: stream.tail });
        }
        ids.iter().for_each(|id| self.plan(id));
    }

    /// Lets go of what was acknowledged of streams that are gone.
    fn forget_lives(&mut self, id: &SubscriptionId, ledger: &Ledger) {
        let Some(subscription) = self.subscriptions.get(id) else { return };
        let over = subscription.links.iter().filter_map(|(path, link)| {
            let stream = ledger.stream(path).filter(|stream| !stream.entry.deleted);
            let log = link.log.filter(|log| stream.is_none_or(|stream| stream.entry.log != *log))?;
            Some((path.clone(), log))
        });
        for (path, log) in over.collect::<Vec<_>>() {
            self.observe(&path, Seen::Gone { log });
        }
    }
}
