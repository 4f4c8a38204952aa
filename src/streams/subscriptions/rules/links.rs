//! Links: the streams that a subscription follows.

use std::collections::BTreeSet;

use super::changes::{put_link, remove_link};
use super::refusal::Refusal;
use super::set::{SubscriptionSet, link_at_tail};
use super::subscription::{Link, Subscription};
use crate::streams::rules::{Change, Ledger};
use crate::streams::subscriptions::wire::SubscriptionId;
use crate::streams::wire::{Offset, StreamPath};

/// A change of a stream that readers can see. `log` identifies one incarnation of the stream: a stream that is deleted
/// and created again has a larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamUpdate {
    /// The stream ends at `tail`.
    Current {
        /// The incarnation.
        log: u64,
        /// The end.
        tail: Offset,
    },
    /// The stream was deleted.
    Removed {
        /// The incarnation.
        log: u64,
    },
}

impl SubscriptionSet {
    /// Applies an update of a stream. Updates may be skipped and repeated, if the latest one comes last. Returns the
    /// number of subscriptions that match the stream but have no link left for it.
    pub(crate) fn apply_update(&mut self, path: &StreamPath, update: StreamUpdate) -> usize {
        let followers = self.followers_of(path);
        match update {
            StreamUpdate::Current { log, tail } => {
                followers.iter().for_each(|id| self.set_tail(id, path, (log, tail)));
                self.link_matching(path, (log, tail))
            }
            StreamUpdate::Removed { log } => {
                followers.iter().for_each(|id| self.stream_removed(id, path, log));
                0
            }
        }
    }

    /// Links streams by name. Existing streams count as read; a link that the pattern made keeps its acknowledged offset.
    /// Errors: [`Refusal::NotFound`], [`Refusal::OwnWakeStream`], [`Refusal::TooManyLinks`].
    pub(crate) fn add_links(
        &mut self,
        ledger: &Ledger,
        id: &SubscriptionId,
        paths: BTreeSet<StreamPath>,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refusal> {
        let links_max = self.limits.links_max;
        let subscription = self.find_mut(id)?;
        if let Some(path) = paths.iter().find(|path| subscription.wake_stream() == Some(path)) {
            return Err(Refusal::OwnWakeStream { path: path.clone() });
        }
        let added = paths.iter().filter(|path| !subscription.links.contains_key(*path)).count();
        if subscription.links.len() + added > links_max {
            return Err(Refusal::TooManyLinks { links_max });
        }
        for path in paths {
            let subscription = self.find(id)?;
            let existing = subscription.links.get(&path).copied();
            if existing.is_some_and(|link| link.explicit) {
                continue;
            }
            let link = match existing {
                Some(link) => link,
                // The pattern would link it as unread, but its update has not been applied yet.
                None if is_newer_match(ledger, subscription, &path) => Link::unread(true),
                None => link_at_tail(ledger, &path, true),
            };
            let mut link = Link { explicit: true, ..link };
            changes.push(put_link(id, &path, &mut link));
            self.link(id, &path, link);
        }
        self.reschedule(id);
        Ok(())
    }

    /// Removes a link made by name, unless the pattern matches the stream: then the link stays as one of the pattern.
    /// Does nothing if there is no such link. Errors: [`Refusal::NotFound`].
    pub(crate) fn remove_link(
        &mut self,
        id: &SubscriptionId,
        path: &StreamPath,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refusal> {
        let subscription = self.find_mut(id)?;
        let matches = subscription.matches(path);
        let Some(link) = subscription.links.get_mut(path).filter(|link| link.explicit) else { return Ok(()) };
        if matches && link.log.is_some() {
            link.explicit = false;
            changes.push(put_link(id, path, link));
        } else {
            self.unlink(id, path);
            changes.push(remove_link(id, path));
        }
        self.reschedule(id);
        Ok(())
    }

    /// Adds or replaces a link; does nothing if the subscription does not exist.
    pub(super) fn link(&mut self, id: &SubscriptionId, path: &StreamPath, link: Link) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        subscription.links.insert(path.clone(), link);
        subscription.update_pending(path);
        self.followers.entry(path.clone()).or_default().insert(id.clone());
    }

    pub(super) fn unlink(&mut self, id: &SubscriptionId, path: &StreamPath) {
        if let Some(subscription) = self.subscriptions.get_mut(id) {
            subscription.links.remove(path);
            subscription.pending.remove(path);
        }
        let Some(followers) = self.followers.get_mut(path) else { return };
        followers.remove(id);
        if followers.is_empty() {
            self.followers.remove(path);
        }
    }

    fn set_tail(&mut self, id: &SubscriptionId, path: &StreamPath, (log, tail): (u64, Offset)) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        let Some(link) = subscription.links.get_mut(path) else { return };
        match link.log {
            // The update is about an incarnation that was deleted before the link was made.
            Some(known) if known > log => return,
            Some(known) if known == log => link.tail = link.tail.max(tail),
            Some(_) | None => *link = Link { log: Some(log), tail, acked: None, ..*link },
        }
        subscription.update_pending(path);
        self.reschedule(id);
    }

    fn stream_removed(&mut self, id: &SubscriptionId, path: &StreamPath, log: u64) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        let Some(link) = subscription.links.get_mut(path).filter(|link| link.log == Some(log)) else { return };
        if link.explicit {
            *link = Link { log: None, tail: Offset::START, acked: None, ..*link };
            subscription.update_pending(path);
        } else {
            let stored = link.stored;
            self.unwritten_removals.extend(stored.then(|| remove_link(id, path)));
            self.unlink(id, path);
        }
        self.reschedule(id);
    }

    /// Links the stream to every older subscription whose pattern matches it. Returns the number of subscriptions that
    /// have as many links as they may.
    fn link_matching(&mut self, path: &StreamPath, (log, tail): (u64, Offset)) -> usize {
        let mut full = 0;
        for id in self.patterns.matching(path) {
            let Some(subscription) = self.subscriptions.get(&id) else { continue };
            let known = log < subscription.entry.since_log || subscription.links.contains_key(path);
            if known || subscription.wake_stream() == Some(path) {
                continue;
            }
            if subscription.links.len() >= self.limits.links_max {
                full += 1;
                continue;
            }
            self.link(&id, path, Link { log: Some(log), tail, ..Link::unread(false) });
            self.reschedule(&id);
        }
        full
    }
}

/// Returns true if the stream is newer than the subscription and matches its pattern.
fn is_newer_match(ledger: &Ledger, subscription: &Subscription, path: &StreamPath) -> bool {
    let stream = ledger.stream(path);
    stream.is_some_and(|stream| stream.entry.log >= subscription.entry.since_log) && subscription.matches(path)
}
