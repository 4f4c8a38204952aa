//! The state of one subscription.

use std::collections::{BTreeMap, BTreeSet};

use super::budget::Size;
use super::refusal::Refusal;
use super::schedule::Due;
use crate::streams::rules::Ledger;
use crate::streams::subscriptions::wire::{
    Delivery, LinkEntry, LinkType, Secret, StreamView, SubscriptionEntry, SubscriptionId, Token, WakeState, offset_text,
};
use crate::streams::wire::{Offset, StreamPath};

/// Time in which a call that has timed out is recorded.
const FAILURE_SLACK_MS: u64 = 250;

/// A subscription, after everything decided so far.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: SubscriptionId,
    pub(super) entry: SubscriptionEntry,
    /// The streams that are linked by name, and those of the pattern that have data after the acknowledged offset.
    pub(super) links: BTreeMap<StreamPath, Link>,
    /// Links with data after the acknowledged offset that wake the subscription.
    pub(super) pending: BTreeSet<StreamPath>,
    /// The size that the subscription and its links count for.
    pub(super) used: Size,
    /// The generation whose webhook is being called.
    pub(super) delivering: Option<u64>,
    /// The time of the first attempt to deliver the current wake; 0 for one that was begun before a restart.
    pub(super) attempted_ms: u64,
    /// The position of the subscription in the schedule.
    pub(super) scheduled: Option<Due>,
}

/// A stream that a subscription follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// The incarnation of the stream; `None` while the stream does not exist.
    pub(super) log: Option<u64>,
    pub(super) acked: Option<Offset>,
    pub(super) explicit: bool,
}

/// The incarnation of a stream that exists, and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamEnd {
    pub(super) log: u64,
    pub(super) tail: Offset,
}

impl StreamEnd {
    /// Returns the end of a stream; `None` if it does not exist.
    pub(super) fn of(ledger: &Ledger, path: &StreamPath) -> Option<Self> {
        let stream = ledger.stream(path).filter(|stream| !stream.entry.deleted)?;
        Some(Self { log: stream.entry.log, tail: stream.next() })
    }
}

impl Link {
    /// Returns a link to what a stream has now, which counts as read.
    pub(super) fn read(end: Option<StreamEnd>, explicit: bool) -> Self {
        Self { log: end.map(|end| end.log), acked: end.map(|end| end.tail), explicit }
    }

    /// Returns true if the stream, which ends here, has data after the acknowledged offset.
    pub(super) fn is_pending(&self, end: Option<StreamEnd>) -> bool {
        end.is_some_and(|end| end.tail > self.acked.unwrap_or(Offset::START))
    }

    pub(super) fn entry(&self) -> LinkEntry {
        LinkEntry::new(self.log, self.acked, self.explicit)
    }
}

impl Subscription {
    pub(super) fn new(id: SubscriptionId, entry: SubscriptionEntry) -> Self {
        let (links, pending) = (BTreeMap::new(), BTreeSet::new());
        let used = Size::of_subscription(&id, &entry);
        Self { id, entry, links, pending, used, delivering: None, attempted_ms: 0, scheduled: None }
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

    /// Returns true if the last attempt to deliver the wake failed, the next is still to come, and the first attempt was long
    /// enough ago to have timed out.
    pub(super) fn shows_failure(&self, now_ms: u64, timeout_ms: u64) -> bool {
        let has_failed = matches!(self.entry.wake, Some(WakeState::Due { attempts: 1.., .. }));
        let shows_ms = self.attempted_ms.saturating_add(timeout_ms).saturating_add(FAILURE_SLACK_MS);
        has_failed && (!self.is_webhook() || now_ms >= shows_ms)
    }

    /// Returns true if a stream has unacknowledged data that wakes the subscription.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
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

    pub(super) fn matches(&self, path: &StreamPath) -> bool {
        let pattern = self.entry.terms.pattern.as_ref();
        pattern.is_some_and(|pattern| pattern.matches(path)) && self.wake_stream() != Some(path)
    }

    /// Returns the link to a stream. One that the pattern matches and that has no link yet counts as read.
    pub(super) fn link_to(&self, ledger: &Ledger, path: &StreamPath) -> Option<Link> {
        if let Some(link) = self.links.get(path) {
            return Some(*link);
        }
        let end = StreamEnd::of(ledger, path).filter(|_| self.matches(path))?;
        let acked = Some(end.tail).filter(|tail| *tail > Offset::START);
        Some(Link { log: Some(end.log), acked, explicit: false })
    }

    pub(super) fn view(&self, ledger: &Ledger, path: &StreamPath) -> Option<StreamView> {
        let link = self.link_to(ledger, path)?;
        let end = StreamEnd::of(ledger, path);
        let link_type = if link.explicit { LinkType::Explicit } else { LinkType::Glob };
        let (log, acked, tail) = (link.log, link.acked, end.map_or(Offset::START, |end| end.tail));
        Some(StreamView { path: path.clone(), link_type, log, acked, tail, pending: link.is_pending(end) })
    }

    /// Checks offsets to acknowledge, each against the ones before it. Errors: [`Refusal::Offset`].
    pub(super) fn check_offsets(&self, ledger: &Ledger, acks: &[(StreamPath, Option<Offset>)]) -> Result<(), Refusal> {
        let mut acked_before: BTreeMap<&StreamPath, Option<Offset>> = BTreeMap::new();
        for (path, acked) in acks {
            let refuse = |reason| Refusal::Offset { path: path.clone(), offset: offset_text(*acked), reason };
            let link = self.link_to(ledger, path);
            let link = link.ok_or_else(|| refuse("the subscription does not follow this stream"))?;
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
            let tail = StreamEnd::of(ledger, path).map_or(Offset::START, |end| end.tail);
            if acked.unwrap_or(Offset::START) > tail {
                return Err(refuse("the offset is beyond the end of the stream"));
            }
            acked_before.insert(path, *acked);
        }
        Ok(())
    }
}
