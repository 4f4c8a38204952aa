//! The state of one subscription.

use std::collections::{BTreeMap, BTreeSet};

use super::refusal::Refusal;
use super::schedule::Due;
use crate::streams::rules::Ledger;
use crate::streams::subscriptions::wire::{
    Delivery, LinkEntry, LinkType, Secret, StreamView, SubscriptionEntry, SubscriptionId, Token, WakeState, offset_text,
};
use crate::streams::wire::{Offset, StreamPath};

/// A subscription, after everything decided so far has been committed.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: SubscriptionId,
    pub(super) entry: SubscriptionEntry,
    pub(super) links: BTreeMap<StreamPath, Link>,
    /// Links with data after the acknowledged offset.
    pub(super) pending: BTreeSet<StreamPath>,
    /// The generation whose webhook is being called.
    pub(super) delivering: Option<u64>,
    /// The position of the subscription in the schedule.
    pub(super) scheduled: Option<Due>,
}

/// A stream that a subscription follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// The incarnation of the stream; `None` while the stream does not exist.
    pub(super) log: Option<u64>,
    /// The end of the data that readers can see.
    pub(super) tail: Offset,
    pub(super) acked: Option<Offset>,
    pub(super) explicit: bool,
    /// True if the store has an entry for it.
    pub(super) stored: bool,
}

impl Link {
    /// Returns a link with nothing acknowledged.
    pub(super) fn unread(explicit: bool) -> Self {
        Self { log: None, tail: Offset::START, acked: None, explicit, stored: false }
    }

    pub(super) fn is_pending(&self) -> bool {
        self.tail > self.acked.unwrap_or(Offset::START)
    }

    pub(super) fn entry(&self) -> LinkEntry {
        LinkEntry::new(self.log, self.acked, self.explicit)
    }
}

impl Subscription {
    pub(super) fn new(id: SubscriptionId, entry: SubscriptionEntry) -> Self {
        let (links, pending) = (BTreeMap::new(), BTreeSet::new());
        Self { id, entry, links, pending, delivering: None, scheduled: None }
    }

    /// Returns the id of the current wake, which is unique among all wakes of all subscriptions.
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

    /// Returns true if the last attempt to deliver the wake failed and the next is still to come.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.entry.wake, Some(WakeState::Due { attempts: 1.., .. }))
    }

    /// Returns the worker whose lease has not ended.
    pub(super) fn holder(&self, now_ms: u64) -> Option<String> {
        match &self.entry.wake {
            Some(WakeState::Held { worker, until_ms }) if *until_ms > now_ms => {
                Some(worker.as_deref().unwrap_or("a receiver").to_owned())
            }
            Some(WakeState::Held { .. } | WakeState::Due { .. } | WakeState::Announced) | None => None,
        }
    }

    /// Updates [`Subscription::pending`] after a change of a link.
    pub(super) fn update_pending(&mut self, path: &StreamPath) {
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

    /// Checks offsets to acknowledge, each against the ones before it. Errors: [`Refusal::Offset`].
    pub(super) fn check_offsets(&self, ledger: &Ledger, acks: &[(StreamPath, Option<Offset>)]) -> Result<(), Refusal> {
        let mut acked_before: BTreeMap<&StreamPath, Option<Offset>> = BTreeMap::new();
        for (path, acked) in acks {
            let refuse = |reason| Refusal::Offset { path: path.clone(), offset: offset_text(*acked), reason };
            let link = self.links.get(path).ok_or_else(|| refuse("the subscription does not follow this stream"))?;
            let of_other_life =
                |offset| ledger.stream(path).is_some_and(|stream| stream.layout().position_of(offset).is_none());
            if acked.is_some_and(of_other_life) {
                return Err(refuse(
                    "the offset is from another life of the stream, which was deleted or damaged since",
                ));
            }
            let before = acked_before.get(path).copied().unwrap_or(link.acked);
            if *acked < before {
                return Err(refuse("a later offset is acknowledged already"));
            }
            if acked.unwrap_or(Offset::START) > link.tail {
                return Err(refuse("the offset is beyond the end of the stream"));
            }
            acked_before.insert(path, *acked);
        }
        Ok(())
    }
}
