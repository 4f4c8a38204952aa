//! What has to be written of subscriptions, and how it is put back.

use bytes::Bytes;

use super::board::Board;
use super::subscription::{Link, Subscription};
use crate::store::Table;
use crate::streams::rules::{Change, Ledger};
use crate::streams::subscriptions::wire::{LinkEntry, Secret, Stage, SubscriptionEntry, SubscriptionId, link_key};
use crate::streams::wire::StreamPath;

/// Subscriptions: id to entry.
pub(crate) const SUBSCRIPTIONS: Table = Table("subscriptions");

/// Links: id and path to entry.
pub(crate) const LINKS: Table = Table("subscription-links");

/// The secret of tokens, and signing keys by their names.
pub(crate) const SECRETS: Table = Table("subscription-secrets");

/// The key of the secret of tokens.
pub(crate) const TOKENS: &[u8] = b"tokens";

/// What the keys of signing keys begin with: the protocol has it so.
pub(crate) const KEY_PREFIX: &[u8] = b"ds_";

/// The entry as it is now.
pub(super) fn kept(subscription: &Subscription) -> Change {
    let value = Some(subscription.entry.to_bytes());
    Change::Kept { table: SUBSCRIPTIONS, key: key_of(&subscription.id), value }
}

/// There is no such subscription any more.
pub(super) fn forgotten(id: &SubscriptionId) -> Change {
    Change::Kept { table: SUBSCRIPTIONS, key: key_of(id), value: None }
}

/// The link as it is now.
pub(super) fn link_kept(id: &SubscriptionId, path: &StreamPath, link: &mut Link) -> Change {
    link.written = true;
    Change::Kept { table: LINKS, key: link_key(id, path), value: Some(link.entry().to_bytes()) }
}

/// There is no such link any more.
pub(super) fn link_forgotten(id: &SubscriptionId, path: &StreamPath) -> Change {
    Change::Kept { table: LINKS, key: link_key(id, path), value: None }
}

pub(super) fn secret_kept(key: &[u8], value: Bytes) -> Change {
    Change::Kept { table: SECRETS, key: Bytes::copy_from_slice(key), value: Some(value) }
}

pub(super) fn secret_forgotten(key: &str) -> Change {
    Change::Kept { table: SECRETS, key: Bytes::copy_from_slice(key.as_bytes()), value: None }
}

fn key_of(id: &SubscriptionId) -> Bytes {
    Bytes::copy_from_slice(id.as_str().as_bytes())
}

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
            self.observe(path, super::Seen::There { log: stream.entry.log, tail: stream.tail });
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
            self.observe(&path, super::Seen::Gone { log });
        }
    }
}
