//! Data that streams get: the links of patterns, which exist only while there is something to read.
//!
//! A stream that a pattern matches and that has no link counts as read up to its end. The decision that adds data to it makes
//! the link, in the same commit, with the end before it as the acknowledged offset; the acknowledgement of everything removes
//! it. So a subscription costs what it has not read, and not what it could match.

use std::collections::BTreeSet;

use super::budget::Size;
use super::changes::{put_link, remove_link};
use super::set::SubscriptionSet;
use super::subscription::{Link, StreamEnd};
use crate::streams::rules::{Change, Ledger};
use crate::streams::subscriptions::wire::SubscriptionId;
use crate::streams::wire::{Offset, StreamPath};

/// The effect of a decision on subscriptions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// True if something may be due earlier than before.
    pub(crate) is_news: bool,
    /// Links that do not fit into the limits.
    pub(crate) left_out: usize,
}

impl SubscriptionSet {
    /// Takes note of the changes that a decision makes to streams, and adds those that they make to links.
    pub(crate) fn observe(&mut self, ledger: &Ledger, changes: &mut Vec<Change>) -> Observed {
        let mut observed = Observed::default();
        if self.subscriptions.is_empty() {
            return observed;
        }
        let mut more = Vec::new();
        for change in changes.iter() {
            match change {
                Change::Record { path, log, start, .. } => {
                    self.stream_grew(ledger, (path, *log, *start), &mut observed, &mut more);
                }
                Change::Created { path } => self.stream_created(ledger, path, &mut observed, &mut more),
                Change::Entry { path } => {
                    let deleted = ledger.stream(path).filter(|stream| stream.entry.deleted);
                    if let Some(log) = deleted.map(|stream| stream.entry.log) {
                        self.stream_removed(path, log, &mut observed, &mut more);
                    }
                }
                Change::Removed { path, log } => self.stream_removed(path, *log, &mut observed, &mut more),
                Change::Producer { .. } | Change::Happened(_) | Change::Value { .. } | Change::Sweep { .. } => {}
            }
        }
        changes.append(&mut more);
        observed
    }

    /// Links a stream that got data at `start` to everyone who follows it.
    fn stream_grew(
        &mut self,
        ledger: &Ledger,
        (path, log, start): (&StreamPath, u64, u64),
        observed: &mut Observed,
        changes: &mut Vec<Change>,
    ) {
        if self.settled.contains(path) {
            return;
        }
        let Some(stream) = ledger.stream(path).filter(|stream| stream.entry.log == log) else { return };
        let acked = (start > 0).then(|| stream.layout().offset_at(start));
        let Some(end) = StreamEnd::of(ledger, path) else { return };
        self.link_followers(path, (end, acked), observed, changes);
    }

    /// Links a new stream to everyone who follows it, if it has content already.
    fn stream_created(
        &mut self,
        ledger: &Ledger,
        path: &StreamPath,
        observed: &mut Observed,
        changes: &mut Vec<Change>,
    ) {
        let Some(end) = StreamEnd::of(ledger, path) else { return };
        if end.tail > Offset::START {
            return self.link_followers(path, (end, None), observed, changes);
        }
        for id in self.named.get(path).cloned().unwrap_or_default() {
            if let Some(link) = self.link_mut(&id, path) {
                *link = Link { log: Some(end.log), acked: None, ..*link };
            }
        }
    }

    fn link_followers(
        &mut self,
        path: &StreamPath,
        (end, acked): (StreamEnd, Option<Offset>),
        observed: &mut Observed,
        changes: &mut Vec<Change>,
    ) {
        let (followers, count) = (self.followers_of(path), self.subscriptions.len());
        let (mut followed, mut left_out) = (false, 0);
        for id in &followers {
            let Some(subscription) = self.subscriptions.get_mut(id) else { continue };
            if subscription.wake_stream() == Some(path) {
                continue;
            }
            match subscription.links.get_mut(path) {
                Some(link) if link.log == Some(end.log) => {}
                // A stream that was linked by name before it existed.
                Some(link) => *link = Link { log: Some(end.log), acked: None, ..*link },
                None if !self.budget.admits(subscription.used, Size::of_link(id, path), count) => {
                    left_out += 1;
                    continue;
                }
                None => {
                    let link = Link { log: Some(end.log), acked, explicit: false };
                    changes.push(put_link(id, path, &link));
                    self.link(id, path, link);
                }
            }
            followed = true;
            self.update_pending(id, path, Some(end));
            self.reschedule(id);
        }
        if followed && left_out == 0 {
            self.settled.insert(path.clone());
        }
        observed.is_news |= followed;
        observed.left_out += left_out;
    }

    fn stream_removed(&mut self, path: &StreamPath, log: u64, observed: &mut Observed, changes: &mut Vec<Change>) {
        self.settled.remove(path);
        for id in self.followers_of(path) {
            let Some(link) = self.link_mut(&id, path).filter(|link| link.log == Some(log)) else { continue };
            observed.is_news = true;
            if link.explicit {
                *link = Link { log: None, acked: None, ..*link };
                changes.push(put_link(&id, path, link));
                self.update_pending(&id, path, None);
            } else {
                self.unlink(&id, path);
                changes.push(remove_link(&id, path));
            }
            self.reschedule(&id);
        }
    }

    /// Returns the subscriptions that name the stream, and those whose pattern matches it.
    pub(super) fn followers_of(&self, path: &StreamPath) -> BTreeSet<SubscriptionId> {
        let mut followers = self.patterns.matching(path);
        followers.extend(self.named.get(path).into_iter().flatten().cloned());
        followers
    }
}
