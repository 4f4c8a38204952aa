//! Links: which streams a subscription hears of, and what it hears.

use std::collections::BTreeSet;

use super::board::{Board, link_now};
use super::changes::{link_forgotten, link_kept};
use super::refusal::Refusal;
use super::subscription::{Link, Subscription};
use crate::streams::rules::{Change, Ledger};
use crate::streams::subscriptions::wire::SubscriptionId;
use crate::streams::wire::StreamPath;

/// What readers see of a stream, now that it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A life of it goes so far.
    There {
        /// Which life.
        log: u64,
        /// Its end.
        tail: u64,
    },
    /// A life of it is over.
    Gone {
        /// Which life.
        log: u64,
    },
}

impl Board {
    /// Learns what readers see, in any order as long as the last thing comes last. Returns how many subscriptions had
    /// no room for the link they should have got.
    pub(crate) fn observe(&mut self, path: &StreamPath, seen: Seen) -> usize {
        let followers: Vec<SubscriptionId> = self.linked.get(path).into_iter().flatten().cloned().collect();
        match seen {
            Seen::There { log, tail } => {
                followers.iter().for_each(|id| self.moved(id, path, (log, tail)));
                self.link_matching(path, (log, tail))
            }
            Seen::Gone { log } => {
                followers.iter().for_each(|id| self.gone(id, path, log));
                0
            }
        }
    }

    /// Names streams; those that exist count as read, also the ones that the pattern has linked before stay where they
    /// are. Errors: [`Refusal::NotFound`], [`Refusal::OwnWakeStream`], [`Refusal::TooManyLinks`].
    pub(crate) fn add_links(
        &mut self,
        ledger: &Ledger,
        id: &SubscriptionId,
        paths: BTreeSet<StreamPath>,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refusal> {
        let links_max = self.bounds.links_max;
        let subscription = self.find_mut(id)?;
        if let Some(path) = paths.iter().find(|path| subscription.wake_stream() == Some(path)) {
            return Err(Refusal::OwnWakeStream { path: path.clone() });
        }
        let fresh = paths.iter().filter(|path| !subscription.links.contains_key(*path)).count();
        if subscription.links.len() + fresh > links_max {
            return Err(Refusal::TooManyLinks { links_max });
        }
        for path in paths {
            let subscription = self.find(id)?;
            let known = subscription.links.get(&path).copied();
            if known.is_some_and(|link| link.explicit) {
                continue;
            }
            let link = match known {
                Some(link) => link,
                // The pattern has it as unread, and has not heard of it yet.
                None if came_later(ledger, subscription, &path) => Link::unread(true),
                None => link_now(ledger, &path, true),
            };
            let mut link = Link { explicit: true, ..link };
            changes.push(link_kept(id, &path, &mut link));
            self.link(id, &path, link);
        }
        self.plan(id);
        Ok(())
    }

    /// Takes a name back; a pattern that fits keeps the link. No error if there is none.
    /// Errors: [`Refusal::NotFound`].
    pub(crate) fn remove_link(
        &mut self,
        id: &SubscriptionId,
        path: &StreamPath,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refusal> {
        let subscription = self.find_mut(id)?;
        let stays = subscription.matches(path);
        let Some(link) = subscription.links.get_mut(path).filter(|link| link.explicit) else { return Ok(()) };
        if stays && link.log.is_some() {
            link.explicit = false;
            changes.push(link_kept(id, path, link));
        } else {
            self.unlink(id, path);
            changes.push(link_forgotten(id, path));
        }
        self.plan(id);
        Ok(())
    }

    /// Sets a link of a subscription that is there.
    pub(super) fn link(&mut self, id: &SubscriptionId, path: &StreamPath, link: Link) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        subscription.links.insert(path.clone(), link);
        subscription.note(path);
        self.linked.entry(path.clone()).or_default().insert(id.clone());
    }

    pub(super) fn unlink(&mut self, id: &SubscriptionId, path: &StreamPath) {
        if let Some(subscription) = self.subscriptions.get_mut(id) {
            subscription.links.remove(path);
            subscription.pending.remove(path);
        }
        let Some(followers) = self.linked.get_mut(path) else { return };
        followers.remove(id);
        if followers.is_empty() {
            self.linked.remove(path);
        }
    }

    fn moved(&mut self, id: &SubscriptionId, path: &StreamPath, (log, tail): (u64, u64)) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        let Some(link) = subscription.links.get_mut(path) else { return };
        match link.log {
            // Logs grow: this is about a life that was over when the link was made.
            Some(known) if known > log => return,
            Some(known) if known == log => link.tail = link.tail.max(tail),
            Some(_) | None => *link = Link { log: Some(log), tail, acked: None, ..*link },
        }
        subscription.note(path);
        self.plan(id);
    }

    fn gone(&mut self, id: &SubscriptionId, path: &StreamPath, log: u64) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        let Some(link) = subscription.links.get_mut(path).filter(|link| link.log == Some(log)) else { return };
        if link.explicit {
            *link = Link { log: None, tail: 0, acked: None, ..*link };
            subscription.note(path);
        } else {
            let written = link.written;
            self.stale.extend(written.then(|| link_forgotten(id, path)));
            self.unlink(id, path);
        }
        self.plan(id);
    }

    /// Links the stream to whoever's pattern it fits and who was there before it.
    fn link_matching(&mut self, path: &StreamPath, (log, tail): (u64, u64)) -> usize {
        let mut without_room = 0;
        for id in self.patterns.matching(path) {
            let Some(subscription) = self.subscriptions.get(&id) else { continue };
            let old = log < subscription.entry.since_log || subscription.links.contains_key(path);
            if old || subscription.wake_stream() == Some(path) {
                continue;
            }
            if subscription.links.len() >= self.bounds.links_max {
                without_room += 1;
                continue;
            }
            self.link(&id, path, Link { log: Some(log), tail, ..Link::unread(false) });
            self.plan(&id);
        }
        without_room
    }
}

/// Whether the stream is one that the pattern fits, and that came after the subscription.
fn came_later(ledger: &Ledger, subscription: &Subscription, path: &StreamPath) -> bool {
    let stream = ledger.stream(path);
    stream.is_some_and(|stream| stream.entry.log >= subscription.entry.since_log) && subscription.matches(path)
}
