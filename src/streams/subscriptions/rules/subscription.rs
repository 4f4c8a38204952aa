//! The state of one subscription.

use std::collections::{BTreeMap, BTreeSet};

use crate::streams::subscriptions::wire::{
    Delivery, LinkEntry, LinkType, Secret, Stage, StreamView, SubscriptionEntry, SubscriptionId, Token, offset_text,
};
use crate::streams::wire::StreamPath;

use super::refusal::Refusal;

/// A subscription as it will be once everything that was decided is written.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: SubscriptionId,
    pub(super) entry: SubscriptionEntry,
    pub(super) links: BTreeMap<StreamPath, Link>,
    /// Links with something behind the acknowledged offset.
    pub(super) pending: BTreeSet<StreamPath>,
    /// The generation that is being delivered at this moment.
    pub(super) attempt: Option<u64>,
    /// When the board looks at it next.
    pub(super) planned: Option<Plan>,
}

/// When something is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// At a time.
    At(u64),
    /// At a time, given there is room for another delivery.
    WithRoom(u64),
}

/// A stream that a subscription wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// The life of the stream; `None` while there is no such stream.
    pub(super) log: Option<u64>,
    /// Its end, as far as it was shown.
    pub(super) tail: u64,
    pub(super) acked: Option<u64>,
    pub(super) explicit: bool,
    /// Whether the store knows of it.
    pub(super) written: bool,
}

impl Link {
    /// A link that nothing was acknowledged of.
    pub(super) fn unread(explicit: bool) -> Self {
        Self { log: None, tail: 0, acked: None, explicit, written: false }
    }

    pub(super) fn is_pending(&self) -> bool {
        self.tail > self.acked.unwrap_or(0)
    }

    pub(super) fn entry(&self) -> LinkEntry {
        LinkEntry { log: self.log, acked: self.acked, explicit: self.explicit }
    }
}

impl Subscription {
    pub(super) fn new(id: SubscriptionId, entry: SubscriptionEntry) -> Self {
        let (links, pending) = (BTreeMap::new(), BTreeSet::new());
        Self { id, entry, links, pending, attempt: None, planned: None }
    }

    /// The name of the last wake. No other wake ever has it.
    pub(super) fn wake_id(&self) -> String {
        format!("w_{}{}", self.entry.nonce, self.entry.generation)
    }

    pub(super) fn token(&self, secret: &Secret, expires_ms: u64) -> String {
        let (nonce, generation) = (self.entry.nonce.to_string(), self.entry.generation);
        Token { nonce, generation, expires_ms }.sign(secret, &self.id)
    }

    pub(super) fn is_webhook(&self) -> bool {
        matches!(self.entry.terms.delivery, Delivery::Webhook { .. })
    }

    pub(super) fn wake_stream(&self) -> Option<&StreamPath> {
        match &self.entry.terms.delivery {
            Delivery::Webhook { .. } => None,
            Delivery::PullWake { stream } => Some(stream),
        }
    }

    /// Whether the last try to wake somebody has failed, and the next is still to come.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.entry.wake, Some(Stage::Due { attempts: 1.., .. }))
    }

    /// Who works on it, and for how long at least.
    pub(super) fn holder(&self, now_ms: u64) -> Option<String> {
        match &self.entry.wake {
            Some(Stage::Held { worker, until_ms }) if *until_ms > now_ms => {
                Some(worker.as_deref().unwrap_or("a receiver").to_owned())
            }
            Some(Stage::Held { .. } | Stage::Due { .. } | Stage::Announced) | None => None,
        }
    }

    /// Notes whether a link is pending.
    pub(super) fn note(&mut self, path: &StreamPath) {
        match self.links.get(path).is_some_and(Link::is_pending) {
            true => drop(self.pending.insert(path.clone())),
            false => drop(self.pending.remove(path)),
        }
    }

    pub(super) fn matches(&self, path: &StreamPath) -> bool {
        let pattern = self.entry.terms.pattern.as_ref();
        pattern.is_some_and(|pattern| pattern.matches(path)) && self.wake_stream() != Some(path)
    }

    pub(super) fn view(&self, path: &StreamPath) -> Option<StreamView> {
        let link = self.links.get(path)?;
        let link_type = if link.explicit { LinkType::Explicit } else { LinkType::Glob };
        let (log, acked, tail) = (link.log, link.acked, link.tail);
        Some(StreamView { path: path.clone(), link_type, log, acked, tail, pending: link.is_pending() })
    }

    /// Checks places to acknowledge, each against the ones before it. Errors: [`Refusal::Offset`].
    pub(super) fn check(&self, acks: &[(StreamPath, Option<u64>)]) -> Result<(), Refusal> {
        let mut so_far: BTreeMap<&StreamPath, Option<u64>> = BTreeMap::new();
        for (path, acked) in acks {
            let refuse = |reason| Refusal::Offset { path: path.clone(), offset: offset_text(*acked), reason };
            let link = self.links.get(path).ok_or_else(|| refuse("the subscription has no such stream"))?;
            let before = so_far.get(path).copied().unwrap_or(link.acked);
            if *acked < before {
                return Err(refuse("it was acknowledged further"));
            }
            if acked.unwrap_or(0) > link.tail {
                return Err(refuse("the stream does not go so far"));
            }
            so_far.insert(path, *acked);
        }
        Ok(())
    }
}
