//! All subscriptions: creating, viewing and deleting them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::budget::{Budget, Size};
use super::changes::{put_link, put_subscription, remove_links, remove_subscription};
use super::key_ring::KeyRing;
use super::pattern_tree::PatternTree;
use super::refusal::Refusal;
use super::schedule::Schedule;
use super::subscription::{Link, StreamEnd, Subscription};
use crate::streams::rules::{Change, Ledger};
use crate::streams::subscriptions::wire::{Page, Pattern, SubscriptionEntry, SubscriptionId, SubscriptionView, Terms};
use crate::streams::wire::StreamPath;

/// Nodes of the index of patterns for each subscription that there may be: a bound on the time that a path takes.
const PATTERN_NODES_PER_SUBSCRIPTION: usize = 4;

/// Limits and times that apply to all subscriptions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SubscriptionLimits {
    pub(crate) subscriptions_max: usize,
    /// Links of all subscriptions together.
    pub(crate) links_max: usize,
    /// Bytes of all subscriptions and their links together.
    pub(crate) bytes_max: usize,
    pub(crate) wake_streams_max: usize,
    pub(crate) token_ttl_ms: u64,
    pub(crate) retry_wait_max_ms: u64,
    pub(crate) webhook_timeout_ms: u64,
    pub(crate) key_rotation_ms: u64,
    pub(crate) key_overlap_ms: u64,
}

/// A subscription to create.
#[derive(Debug, Clone)]
pub(crate) struct NewSubscription {
    pub(crate) terms: Terms,
    /// Path of the root of all streams.
    pub(crate) mount: String,
    /// Random text that distinguishes it from earlier subscriptions with the same id.
    pub(crate) nonce: Arc<str>,
}

/// The state of all subscriptions.
pub(crate) struct SubscriptionSet {
    pub(super) limits: SubscriptionLimits,
    pub(super) subscriptions: BTreeMap<SubscriptionId, Subscription>,
    pub(super) patterns: PatternTree,
    /// Subscriptions by the streams that they name.
    pub(super) named: HashMap<StreamPath, BTreeSet<SubscriptionId>>,
    /// Streams to which everyone who follows them has a pending link already: more data changes nothing.
    pub(super) settled: HashSet<StreamPath>,
    /// Number of subscriptions by wake stream.
    pub(super) wake_streams: HashMap<StreamPath, usize>,
    pub(super) budget: Budget,
    pub(super) schedule: Schedule,
    /// Changes that were found necessary when everything was restored; written with the next changes.
    pub(super) unwritten: Vec<Change>,
    pub(crate) keys: KeyRing,
}

impl SubscriptionSet {
    pub(crate) fn new(limits: SubscriptionLimits) -> Self {
        Self {
            limits,
            subscriptions: BTreeMap::new(),
            patterns: PatternTree::new(),
            named: HashMap::new(),
            settled: HashSet::new(),
            wake_streams: HashMap::new(),
            budget: Budget::new(Size { links: limits.links_max, bytes: limits.bytes_max }),
            schedule: Schedule::default(),
            unwritten: Vec::new(),
            keys: KeyRing::new(limits.key_rotation_ms, limits.key_overlap_ms),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    /// Creates a subscription, and returns true beside the first page of its view. One that exists with the same terms is
    /// returned unchanged. Existing streams count as read up to their tail. Errors: [`Refusal::Exists`], [`Refusal::TooMany`],
    /// [`Refusal::TooManyLinks`], [`Refusal::TooManyPatterns`].
    pub(crate) fn create(
        &mut self,
        (now_ms, ledger): (u64, &Ledger),
        id: &SubscriptionId,
        new: NewSubscription,
        changes: &mut Vec<Change>,
    ) -> Result<(SubscriptionView, bool), Refusal> {
        if let Some(found) = self.subscriptions.get(id) {
            return match found.entry.terms == new.terms {
                true => Ok((self.view((now_ms, ledger), id, &Page::default())?, false)),
                false => Err(Refusal::Exists { id: id.clone() }),
            };
        }
        if self.subscriptions.len() >= self.limits.subscriptions_max {
            return Err(Refusal::TooMany { subscriptions_max: self.limits.subscriptions_max });
        }
        let NewSubscription { terms, mount, nonce } = new;
        let nodes_max = self.limits.subscriptions_max.saturating_mul(PATTERN_NODES_PER_SUBSCRIPTION);
        let nodes = terms.pattern.as_ref().map_or(0, |pattern| pattern.segments().len());
        if nodes > 0 && self.patterns.nodes() + nodes > nodes_max.max(nodes + 1) {
            return Err(Refusal::TooManyPatterns { segments_max: nodes_max });
        }
        let named = terms.streams.clone();
        let entry = SubscriptionEntry {
            terms,
            mount,
            created_ms: now_ms,
            since_log: ledger.next_log(),
            nonce,
            generation: 0,
            wake: None,
            lazy_links: true,
        };
        let subscription = Subscription::new(id.clone(), entry);
        self.check_links(&subscription, named.iter())?;
        changes.push(put_subscription(&subscription));
        self.insert(ledger, subscription);
        for path in named {
            let end = StreamEnd::of(ledger, &path);
            let link = Link::read(end, true);
            changes.push(put_link(id, &path, &link));
            self.link(id, &path, link);
        }
        Ok((self.view((now_ms, ledger), id, &Page::default())?, true))
    }

    /// Returns the pattern of a subscription, and the streams that it names. Errors: [`Refusal::NotFound`].
    pub(crate) fn objects(&self, id: &SubscriptionId) -> Result<(Option<Pattern>, Vec<StreamPath>), Refusal> {
        let subscription = self.find(id)?;
        let named = subscription.links.iter().filter(|(_, link)| link.explicit);
        Ok((subscription.entry.terms.pattern.clone(), named.map(|(path, _)| path.clone()).collect()))
    }

    /// Deletes a subscription with its links; does nothing if it does not exist.
    pub(crate) fn delete(&mut self, ledger: &Ledger, id: &SubscriptionId, changes: &mut Vec<Change>) {
        self.unschedule(id);
        let Some(subscription) = self.subscriptions.remove(id) else { return };
        changes.push(remove_subscription(id));
        changes.push(remove_links(id));
        self.budget.remove(subscription.used);
        self.settled.clear();
        for (path, _) in subscription.links.iter().filter(|(_, link)| link.explicit) {
            self.forget_name(id, path);
        }
        let remaining = self.subscriptions.iter();
        self.patterns =
            PatternTree::build(remaining.filter_map(|(id, left)| Some((id, left.entry.terms.pattern.as_ref()?))));
        if let Some(path) = subscription.wake_stream() {
            let left = self.wake_streams.get(path).map_or(0, |count| count - 1);
            match left {
                0 => drop(self.wake_streams.remove(path)),
                left => drop(self.wake_streams.insert(path.clone(), left)),
            }
            self.reconsider(ledger, path);
        }
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
    pub(super) fn insert(&mut self, ledger: &Ledger, subscription: Subscription) {
        let (id, terms) = (subscription.id.clone(), &subscription.entry.terms);
        if let Some(pattern) = &terms.pattern {
            self.patterns.insert(pattern, &id);
        }
        let wake_stream = subscription.wake_stream().cloned();
        self.settled.clear();
        self.budget.add(subscription.used);
        self.subscriptions.insert(id, subscription);
        if let Some(path) = wake_stream {
            *self.wake_streams.entry(path.clone()).or_insert(0) += 1;
            self.reconsider(ledger, &path);
        }
    }

    /// Updates the links to a stream that has become a wake stream, or is one no more.
    fn reconsider(&mut self, ledger: &Ledger, path: &StreamPath) {
        let end = StreamEnd::of(ledger, path);
        for id in self.followers_of(path) {
            self.update_pending(&id, path, end);
            self.reschedule(&id);
        }
    }
}
