//! All subscriptions: creating, viewing and deleting them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::changes::{put_link, put_subscription, remove_link, remove_subscription};
use super::key_ring::KeyRing;
use super::pattern_tree::PatternTree;
use super::refusal::Refusal;
use super::schedule::Schedule;
use super::subscription::{Link, Subscription};
use crate::streams::rules::{Change, Ledger};
use crate::streams::subscriptions::wire::{
    Delivery, StreamView, SubscriptionEntry, SubscriptionId, SubscriptionView, Terms,
};
use crate::streams::wire::StreamPath;

/// Limits and times that apply to all subscriptions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SubscriptionLimits {
    pub(crate) subscriptions_max: usize,
    pub(crate) links_max: usize,
    pub(crate) wake_streams_max: usize,
    pub(crate) token_ttl_ms: u64,
    pub(crate) retry_wait_max_ms: u64,
    pub(crate) key_rotation_ms: u64,
    pub(crate) key_overlap_ms: u64,
}

/// A subscription to create.
#[derive(Debug, Clone)]
pub(crate) struct NewSubscription {
    pub(crate) terms: Terms,
    /// Root URL of all streams, as its creator reached it.
    pub(crate) base: String,
    /// Random text that distinguishes it from earlier subscriptions with the same id.
    pub(crate) nonce: Arc<str>,
}

/// The state of all subscriptions.
pub(crate) struct SubscriptionSet {
    pub(super) limits: SubscriptionLimits,
    pub(super) subscriptions: BTreeMap<SubscriptionId, Subscription>,
    pub(super) patterns: PatternTree,
    /// Subscriptions by linked stream.
    pub(super) followers: HashMap<StreamPath, BTreeSet<SubscriptionId>>,
    /// Number of subscriptions by wake stream.
    pub(super) wake_streams: HashMap<StreamPath, usize>,
    pub(super) schedule: Schedule,
    /// Removals of links to deleted streams; written with the next changes.
    pub(super) unwritten_removals: Vec<Change>,
    pub(crate) keys: KeyRing,
}

impl SubscriptionSet {
    pub(crate) fn new(limits: SubscriptionLimits) -> Self {
        Self {
            limits,
            subscriptions: BTreeMap::new(),
            patterns: PatternTree::new(),
            followers: HashMap::new(),
            wake_streams: HashMap::new(),
            schedule: Schedule::default(),
            unwritten_removals: Vec::new(),
            keys: KeyRing::new(limits.key_rotation_ms, limits.key_overlap_ms),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    /// Creates a subscription, and returns true beside its view. One that exists with the same terms is returned
    /// unchanged. Existing streams count as read up to their tail. Scans all streams. Errors: [`Refusal::Exists`],
    /// [`Refusal::TooMany`], [`Refusal::TooManyLinks`].
    pub(crate) fn create(
        &mut self,
        (now_ms, ledger): (u64, &Ledger),
        id: &SubscriptionId,
        new: NewSubscription,
        changes: &mut Vec<Change>,
    ) -> Result<(SubscriptionView, bool), Refusal> {
        if let Some(found) = self.subscriptions.get(id) {
            return match found.entry.terms == new.terms {
                true => Ok((self.view(id)?, false)),
                false => Err(Refusal::Exists { id: id.clone() }),
            };
        }
        if self.subscriptions.len() >= self.limits.subscriptions_max {
            return Err(Refusal::TooMany { subscriptions_max: self.limits.subscriptions_max });
        }
        let NewSubscription { terms, base, nonce } = new;
        let named = terms.streams.clone();
        let entry = SubscriptionEntry {
            terms,
            base,
            created_ms: now_ms,
            since_log: ledger.next_log(),
            nonce,
            generation: 0,
            wake: None,
        };
        let subscription = Subscription::new(id.clone(), entry);
        let matching = ledger.streams().filter(|(path, stream)| !stream.entry.deleted && subscription.matches(path));
        let links: BTreeSet<StreamPath> = matching.map(|(path, _)| path.clone()).chain(named.iter().cloned()).collect();
        if links.len() > self.limits.links_max {
            return Err(Refusal::TooManyLinks { links_max: self.limits.links_max });
        }
        changes.push(put_subscription(&subscription));
        self.insert(subscription);
        for path in links {
            let mut link = link_at_tail(ledger, &path, named.contains(&path));
            changes.push(put_link(id, &path, &mut link));
            self.link(id, &path, link);
        }
        Ok((self.view(id)?, true))
    }

    /// Deletes a subscription with its links; does nothing if it does not exist.
    pub(crate) fn delete(&mut self, id: &SubscriptionId, changes: &mut Vec<Change>) {
        let Some(subscription) = self.subscriptions.get(id) else { return };
        let links: Vec<(StreamPath, bool)> =
            subscription.links.iter().map(|(path, link)| (path.clone(), link.stored)).collect();
        let wake_stream = subscription.wake_stream().cloned();
        for (path, stored) in links {
            self.unlink(id, &path);
            changes.extend(stored.then(|| remove_link(id, &path)));
        }
        self.unschedule(id);
        self.subscriptions.remove(id);
        changes.push(remove_subscription(id));
        let remaining = self.subscriptions.iter();
        self.patterns =
            PatternTree::build(remaining.filter_map(|(id, left)| Some((id, left.entry.terms.pattern.as_ref()?))));
        if let Some(path) = wake_stream {
            let left = self.wake_streams.get(&path).map_or(0, |count| count - 1);
            match left {
                0 => drop(self.wake_streams.remove(&path)),
                left => drop(self.wake_streams.insert(path.clone(), left)),
            }
            self.reschedule_followers(&path);
        }
    }

    /// Returns a subscription as clients see it. Errors: [`Refusal::NotFound`].
    pub(crate) fn view(&self, id: &SubscriptionId) -> Result<SubscriptionView, Refusal> {
        let subscription = self.find(id)?;
        let visible = subscription.links.iter().filter(|(path, link)| link.explicit || !self.is_wake_stream(path));
        let streams: Vec<StreamView> = visible.filter_map(|(path, _)| subscription.view(path)).collect();
        Ok(SubscriptionView {
            id: id.clone(),
            terms: subscription.entry.terms.clone(),
            streams,
            created_ms: subscription.entry.created_ms,
            failed: subscription.has_failed(),
            kid: self.keys.signing_key().map(|(kid, _)| kid.clone()).unwrap_or_default(),
        })
    }

    pub(super) fn find(&self, id: &SubscriptionId) -> Result<&Subscription, Refusal> {
        self.subscriptions.get(id).ok_or_else(|| Refusal::NotFound { id: id.clone() })
    }

    pub(super) fn find_mut(&mut self, id: &SubscriptionId) -> Result<&mut Subscription, Refusal> {
        self.subscriptions.get_mut(id).ok_or_else(|| Refusal::NotFound { id: id.clone() })
    }

    pub(super) fn is_wake_stream(&self, path: &StreamPath) -> bool {
        self.wake_streams.contains_key(path)
    }

    /// Adds a subscription that has no links yet.
    pub(super) fn insert(&mut self, subscription: Subscription) {
        let (id, terms) = (subscription.id.clone(), &subscription.entry.terms);
        if let Some(pattern) = &terms.pattern {
            self.patterns.insert(pattern, &id);
        }
        let wake_stream = match &terms.delivery {
            Delivery::Webhook { .. } => None,
            Delivery::PullWake { stream } => Some(stream.clone()),
        };
        self.subscriptions.insert(id, subscription);
        if let Some(path) = wake_stream {
            *self.wake_streams.entry(path.clone()).or_insert(0) += 1;
            self.reschedule_followers(&path);
        }
    }

    /// Reschedules every subscription linked to a stream that has become a wake stream, or is one no more.
    fn reschedule_followers(&mut self, path: &StreamPath) {
        self.followers_of(path).iter().for_each(|id| self.reschedule(id));
    }

    pub(super) fn followers_of(&self, path: &StreamPath) -> Vec<SubscriptionId> {
        self.followers.get(path).into_iter().flatten().cloned().collect()
    }
}

/// Returns a link to the current content of a stream, which counts as read.
pub(super) fn link_at_tail(ledger: &Ledger, path: &StreamPath, explicit: bool) -> Link {
    let stream = ledger.stream(path).filter(|stream| !stream.entry.deleted);
    stream.map_or(Link::unread(explicit), |stream| {
        let (log, tail) = (Some(stream.entry.log), stream.next());
        Link { log, tail, acked: Some(tail), explicit, stored: false }
    })
}
