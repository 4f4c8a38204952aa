//! All subscriptions: creating them, showing them, taking them away.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::changes::{KEY_PREFIX, TOKENS, forgotten, kept, link_forgotten, link_kept, secret_forgotten, secret_kept};
use super::patterns::Patterns;
use super::refusal::Refusal;
use super::subscription::{Link, Subscription};
use crate::streams::rules::{Change, Ledger};
use crate::streams::subscriptions::wire::{
    Delivery, JwksView, KeyEntry, Secret, StreamView, SubscriptionEntry, SubscriptionId, SubscriptionView, Terms,
};
use crate::streams::wire::StreamPath;

/// Bounds that the rules keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) subscriptions_max: usize,
    pub(crate) links_max: usize,
    pub(crate) wake_streams_max: usize,
    pub(crate) token_ttl_ms: u64,
    pub(crate) retry_wait_max_ms: u64,
    pub(crate) key_rotation_ms: u64,
    pub(crate) key_overlap_ms: u64,
}

/// Somebody wants a subscription.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) terms: Terms,
    /// The root of all streams as the creator reached it.
    pub(crate) base: String,
    /// Random.
    pub(crate) nonce: Arc<str>,
}

/// The state of every subscription.
pub(crate) struct Board {
    pub(super) bounds: Bounds,
    pub(super) subscriptions: BTreeMap<SubscriptionId, Subscription>,
    pub(super) patterns: Patterns,
    /// Who has a link to which stream.
    pub(super) linked: HashMap<StreamPath, BTreeSet<SubscriptionId>>,
    /// How many subscriptions write their wakes to which stream.
    pub(super) wake_streams: HashMap<StreamPath, usize>,
    /// When to look at whom.
    pub(super) due: BTreeSet<(u64, SubscriptionId)>,
    /// The same, for looks that start a delivery.
    pub(super) due_with_room: BTreeSet<(u64, SubscriptionId)>,
    /// Links of streams that are gone, to be taken out of the store with whatever is written next.
    pub(super) stale: Vec<Change>,
    pub(super) secret: Option<Secret>,
    pub(super) keys: BTreeMap<String, KeyEntry>,
}

impl Board {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            subscriptions: BTreeMap::new(),
            patterns: Patterns::new(),
            linked: HashMap::new(),
            wake_streams: HashMap::new(),
            due: BTreeSet::new(),
            due_with_room: BTreeSet::new(),
            stale: Vec::new(),
            secret: None,
            keys: BTreeMap::new(),
        }
    }

    /// Whether nobody wants to hear of anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    /// Creates the subscription, or finds it with the same terms: then nothing has changed. Streams that are there
    /// already count as read. Takes a look at every stream. Errors: [`Refusal::Exists`], [`Refusal::TooMany`],
    /// [`Refusal::TooManyLinks`].
    pub(crate) fn create(
        &mut self,
        (now_ms, ledger): (u64, &Ledger),
        id: &SubscriptionId,
        wish: Wish,
        changes: &mut Vec<Change>,
    ) -> Result<(SubscriptionView, bool), Refusal> {
        if let Some(found) = self.subscriptions.get(id) {
            return match found.entry.terms == wish.terms {
                true => Ok((self.view(id)?, false)),
                false => Err(Refusal::Exists { id: id.clone() }),
            };
        }
        if self.subscriptions.len() >= self.bounds.subscriptions_max {
            return Err(Refusal::TooMany { subscriptions_max: self.bounds.subscriptions_max });
        }
        let Wish { terms, base, nonce } = wish;
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
        let fitting = ledger.streams().filter(|(path, stream)| !stream.entry.deleted && subscription.matches(path));
        let links: BTreeSet<StreamPath> = fitting.map(|(path, _)| path.clone()).chain(named.iter().cloned()).collect();
        if links.len() > self.bounds.links_max {
            return Err(Refusal::TooManyLinks { links_max: self.bounds.links_max });
        }
        changes.push(kept(&subscription));
        self.enter(subscription);
        for path in links {
            let mut link = link_now(ledger, &path, named.contains(&path));
            changes.push(link_kept(id, &path, &mut link));
            self.link(id, &path, link);
        }
        Ok((self.view(id)?, true))
    }

    /// Takes the subscription away with all it had; no error if there is none.
    pub(crate) fn delete(&mut self, id: &SubscriptionId, changes: &mut Vec<Change>) {
        let Some(subscription) = self.subscriptions.get(id) else { return };
        let paths: Vec<(StreamPath, bool)> =
            subscription.links.iter().map(|(path, link)| (path.clone(), link.written)).collect();
        let wake_stream = subscription.wake_stream().cloned();
        for (path, written) in paths {
            self.unlink(id, &path);
            changes.extend(written.then(|| link_forgotten(id, &path)));
        }
        self.unplan(id);
        self.subscriptions.remove(id);
        changes.push(forgotten(id));
        let patterns = self.subscriptions.iter();
        self.patterns =
            Patterns::rebuilt(patterns.filter_map(|(id, left)| Some((id, left.entry.terms.pattern.as_ref()?))));
        if let Some(path) = wake_stream {
            let left = self.wake_streams.get(&path).map_or(0, |count| count - 1);
            match left {
                0 => drop(self.wake_streams.remove(&path)),
                left => drop(self.wake_streams.insert(path.clone(), left)),
            }
            self.plan_followers(&path);
        }
    }

    /// The subscription as clients see it. Errors: [`Refusal::NotFound`].
    pub(crate) fn view(&self, id: &SubscriptionId) -> Result<SubscriptionView, Refusal> {
        let subscription = self.find(id)?;
        let shown = subscription.links.iter().filter(|(path, link)| link.explicit || !self.is_wake_stream(path));
        let streams: Vec<StreamView> = shown.filter_map(|(path, _)| subscription.view(path)).collect();
        Ok(SubscriptionView {
            id: id.clone(),
            terms: subscription.entry.terms.clone(),
            streams,
            created_ms: subscription.entry.created_ms,
            failed: subscription.has_failed(),
            kid: self.signing_key().map(|(kid, _)| kid.clone()).unwrap_or_default(),
        })
    }

    /// The keys that signatures can be verified with.
    pub(crate) fn jwks(&self) -> JwksView {
        JwksView(self.keys.iter().map(|(kid, key)| (kid.clone(), key.clone())).collect())
    }

    /// The key that is signed with.
    pub(crate) fn signing_key(&self) -> Option<(&String, &KeyEntry)> {
        self.keys.iter().find(|(_, key)| key.replaced_ms.is_none())
    }

    /// Whether a new signing key, or a first secret, is due. When the next one is, otherwise.
    pub(crate) fn keys_due_ms(&self) -> u64 {
        let newest = self.signing_key().filter(|_| self.secret.is_some());
        newest.map_or(0, |(_, key)| key.created_ms.saturating_add(self.bounds.key_rotation_ms))
    }

    /// Takes the new key if one is due; the old one stays published for a while. A secret is taken once.
    pub(crate) fn renew_keys(
        &mut self,
        now_ms: u64,
        secret: &Secret,
        (kid, key): (String, KeyEntry),
        changes: &mut Vec<Change>,
    ) {
        if self.secret.is_none() {
            changes.push(secret_kept(TOKENS, bytes::Bytes::copy_from_slice(&secret.0)));
            self.secret = Some(secret.clone());
        }
        if self.keys_due_ms() > now_ms {
            return;
        }
        let overlap_ms = self.bounds.key_overlap_ms;
        let over = |key: &KeyEntry| key.replaced_ms.is_some_and(|at_ms| at_ms.saturating_add(overlap_ms) <= now_ms);
        let gone: Vec<String> = self.keys.iter().filter(|(_, key)| over(key)).map(|(kid, _)| kid.clone()).collect();
        for kid in gone {
            self.keys.remove(&kid);
            changes.push(secret_forgotten(&kid));
        }
        for (kid, key) in self.keys.iter_mut().filter(|(_, key)| key.replaced_ms.is_none()) {
            key.replaced_ms = Some(now_ms);
            changes.push(secret_kept(kid.as_bytes(), key.to_bytes()));
        }
        debug_assert!(kid.as_bytes().starts_with(KEY_PREFIX));
        changes.push(secret_kept(kid.as_bytes(), key.to_bytes()));
        self.keys.insert(kid, key);
    }

    /// Puts back what a store has kept of a signing key.
    pub(crate) fn restore_key(&mut self, kid: String, key: KeyEntry) {
        self.keys.insert(kid, key);
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

    /// Takes a subscription without links in.
    pub(super) fn enter(&mut self, subscription: Subscription) {
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
            self.plan_followers(&path);
        }
    }

    /// What is pending for those who have a link to the stream may be another thing now.
    fn plan_followers(&mut self, path: &StreamPath) {
        let followers: Vec<SubscriptionId> = self.linked.get(path).into_iter().flatten().cloned().collect();
        followers.iter().for_each(|id| self.plan(id));
    }
}

/// A link to a stream as it is now: what it holds counts as read.
pub(super) fn link_now(ledger: &Ledger, path: &StreamPath, explicit: bool) -> Link {
    let stream = ledger.stream(path).filter(|stream| !stream.entry.deleted);
    stream.map_or(Link::unread(explicit), |stream| {
        let (log, tail) = (Some(stream.entry.log), stream.tail);
        Link { log, tail, acked: Some(tail), explicit, written: false }
    })
}
