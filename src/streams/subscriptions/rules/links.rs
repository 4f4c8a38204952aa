//! Links: the streams that a subscription follows by name, and those of its pattern that have something for it.

use std::collections::BTreeSet;

use super::budget::Size;
use super::changes::{put_link, remove_link};
use super::refusal::Refusal;
use super::set::SubscriptionSet;
use super::subscription::{Link, StreamEnd, Subscription};
use crate::streams::rules::{Change, Ledger};
use crate::streams::subscriptions::wire::SubscriptionId;
use crate::streams::wire::{Offset, StreamPath};

impl SubscriptionSet {
    /// Links streams by name. Existing streams count as read; a link that the pattern made keeps its acknowledged offset.
    /// Errors: [`Refusal::NotFound`], [`Refusal::OwnWakeStream`], [`Refusal::TooManyLinks`].
    pub(crate) fn add_links(
        &mut self,
        ledger: &Ledger,
        id: &SubscriptionId,
        paths: BTreeSet<StreamPath>,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refusal> {
        let subscription = self.find(id)?;
        if let Some(path) = paths.iter().find(|path| subscription.wake_stream() == Some(path)) {
            return Err(Refusal::OwnWakeStream { path: path.clone() });
        }
        self.check_links(subscription, paths.iter().filter(|path| !subscription.links.contains_key(*path)))?;
        for path in paths {
            let existing = self.find(id)?.links.get(&path).copied();
            if existing.is_some_and(|link| link.explicit) {
                continue;
            }
            let end = StreamEnd::of(ledger, &path);
            let link = Link { explicit: true, ..existing.unwrap_or(Link::read(end, true)) };
            changes.push(put_link(id, &path, &link));
            self.link(id, &path, link);
            self.update_pending(id, &path, end);
        }
        self.reschedule(id);
        Ok(())
    }

    /// Removes a link made by name. If the pattern matches the stream, it is followed all the same. Does nothing if there is
    /// no such link. Errors: [`Refusal::NotFound`].
    pub(crate) fn remove_link(
        &mut self,
        ledger: &Ledger,
        id: &SubscriptionId,
        path: &StreamPath,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refusal> {
        let subscription = self.find(id)?;
        let matches = subscription.matches(path);
        let Some(link) = subscription.links.get(path).copied().filter(|link| link.explicit) else { return Ok(()) };
        let end = StreamEnd::of(ledger, path);
        self.unlink(id, path);
        self.settled.remove(path);
        if matches && link.is_pending(end) {
            let link = Link { explicit: false, ..link };
            changes.push(put_link(id, path, &link));
            self.link(id, path, link);
            self.update_pending(id, path, end);
        } else {
            changes.push(remove_link(id, path));
        }
        self.reschedule(id);
        Ok(())
    }

    /// Checks that a subscription may have further links. Errors: [`Refusal::TooManyLinks`].
    pub(super) fn check_links<'a>(
        &self,
        subscription: &Subscription,
        paths: impl Iterator<Item = &'a StreamPath>,
    ) -> Result<(), Refusal> {
        let (mut more, known) = (Size::default(), self.subscriptions.contains_key(&subscription.id));
        paths.for_each(|path| more.add(Size::of_link(&subscription.id, path)));
        let mut own = subscription.used;
        if !known {
            more.add(std::mem::take(&mut own));
        }
        let count = self.subscriptions.len() + usize::from(!known);
        match self.budget.admits(own, more, count) {
            true => Ok(()),
            false => {
                Err(Refusal::TooManyLinks { links_max: self.budget.max().links, bytes_max: self.budget.max().bytes })
            }
        }
    }

    /// Adds or replaces a link; does nothing if the subscription does not exist. Call [`Self::update_pending`] after it.
    pub(super) fn link(&mut self, id: &SubscriptionId, path: &StreamPath, link: Link) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        if link.explicit {
            self.named.entry(path.clone()).or_default().insert(id.clone());
            self.settled.remove(path);
        }
        if subscription.links.insert(path.clone(), link).is_none() {
            let size = Size::of_link(id, path);
            subscription.used.add(size);
            self.budget.add(size);
        }
    }

    pub(super) fn unlink(&mut self, id: &SubscriptionId, path: &StreamPath) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        let Some(link) = subscription.links.remove(path) else { return };
        subscription.pending.remove(path);
        let size = Size::of_link(id, path);
        subscription.used.remove(size);
        self.budget.remove(size);
        if link.explicit {
            self.forget_name(id, path);
        }
    }

    /// Removes a subscription from those that name a stream.
    pub(super) fn forget_name(&mut self, id: &SubscriptionId, path: &StreamPath) {
        let Some(named) = self.named.get_mut(path) else { return };
        named.remove(id);
        if named.is_empty() {
            self.named.remove(path);
        }
    }

    pub(super) fn link_mut(&mut self, id: &SubscriptionId, path: &StreamPath) -> Option<&mut Link> {
        self.subscriptions.get_mut(id)?.links.get_mut(path)
    }

    /// Updates [`Subscription::pending`] after a change of a link, or of the stream, which ends here. A wake stream wakes only
    /// those who name it.
    pub(super) fn update_pending(&mut self, id: &SubscriptionId, path: &StreamPath, end: Option<StreamEnd>) {
        let wakes_all = !self.is_wake_stream(path);
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        let link = subscription.links.get(path).filter(|link| link.explicit || wakes_all);
        match link.is_some_and(|link| link.is_pending(end)) {
            true => drop(subscription.pending.insert(path.clone())),
            false => drop(subscription.pending.remove(path)),
        }
    }

    /// Sets the acknowledged offset of a stream. A link of the pattern is over once everything is read.
    pub(super) fn acknowledge_stream(
        &mut self,
        ledger: &Ledger,
        (id, path): (&SubscriptionId, &StreamPath),
        acked: Option<Offset>,
        changes: &mut Vec<Change>,
    ) {
        let end = StreamEnd::of(ledger, path);
        let Some(link) = self.link_mut(id, path).filter(|link| link.acked != acked) else { return };
        link.acked = acked;
        let link = *link;
        self.settled.remove(path);
        if link.explicit || link.is_pending(end) {
            changes.push(put_link(id, path, &link));
            self.update_pending(id, path, end);
        } else {
            self.unlink(id, path);
            changes.push(remove_link(id, path));
        }
    }
}
