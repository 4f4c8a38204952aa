//! The state of one stream.

use super::producers::Producers;
use crate::streams::wire::{ContentType, Layout, Lifetime, Offset, ProducerEntry, StreamEntry};

/// A stream, including changes that are decided and not yet durable.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) entry: StreamEntry,
    /// The position after its last byte.
    pub(crate) tail: u64,
    /// `None` until there is one: nearly all streams have none.
    producers: Option<Box<Producers>>,
    /// The bytes that it counts for besides its content.
    pub(super) counted_bytes: u64,
    /// Readers that follow it; as long as there are any, it is in use.
    pub(super) followers: u32,
    /// The time of the last access that was written to the store.
    pub(super) access_written_ms: u64,
    /// The time at which the sweep looks at it next.
    pub(super) sweep_at_ms: Option<u64>,
}

impl Stream {
    pub(super) fn new(entry: StreamEntry, tail: u64) -> Self {
        let access_written_ms = entry.accessed_ms;
        Self { entry, tail, producers: None, counted_bytes: 0, followers: 0, access_written_ms, sweep_at_ms: None }
    }

    pub(crate) fn content_type(&self) -> &ContentType {
        &self.entry.content_type
    }

    /// The offset after its last byte.
    pub(crate) fn next(&self) -> Offset {
        self.layout().offset_at(self.tail)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.entry.closed.is_some()
    }

    /// The entry of a producer.
    pub(super) fn producer(&self, id: &str) -> Option<ProducerEntry> {
        self.producers.as_ref()?.get(id)
    }

    /// The epoch of a producer that was forgotten to make space for others.
    pub(super) fn forgotten_epoch(&self, id: &str) -> Option<u64> {
        self.producers.as_ref()?.forgotten_epoch(id)
    }

    /// The entry that the store keeps under the id of a producer, or of the mark of one that was forgotten.
    pub(crate) fn producer_row(&self, id: &str) -> Option<ProducerEntry> {
        self.producers.as_ref()?.row(id)
    }

    /// Approximate bytes of its producers.
    pub(super) fn producers_bytes(&self) -> u64 {
        self.producers.as_ref().map_or(0, |producers| producers.bytes())
    }

    pub(super) fn producers_mut(&mut self) -> &mut Producers {
        self.producers.get_or_insert_default()
    }

    /// The parts of its content.
    pub(crate) fn layout(&self) -> Layout<'_> {
        self.entry.layout()
    }

    /// The bytes in its own log.
    pub(super) fn own_bytes(&self) -> u64 {
        self.tail - self.entry.base
    }

    /// The time at which it expires; `None` if it does not, or not while it is followed.
    pub(super) fn expires_at_ms(&self) -> Option<u64> {
        match &self.entry.lifetime {
            Lifetime::Unlimited => None,
            Lifetime::Until { at_ms, .. } => Some(*at_ms),
            Lifetime::Idle { .. } if self.followers > 0 => None,
            Lifetime::Idle { ttl_s } => Some(self.entry.accessed_ms.saturating_add(ttl_s.saturating_mul(1000))),
        }
    }

    pub(super) fn has_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms().is_some_and(|at_ms| at_ms <= now_ms)
    }

    /// Maximum delay before an access is written; `None` if accesses do not matter.
    pub(super) fn access_slack_ms(&self) -> Option<u64> {
        match self.entry.lifetime {
            Lifetime::Idle { ttl_s } => Some(ttl_s.saturating_mul(500).max(1)),
            Lifetime::Unlimited | Lifetime::Until { .. } => None,
        }
    }

    /// The time at which the sweep should look at it, if ever: when it expires, or when its last access should be written.
    pub(super) fn next_sweep_ms(&self, now_ms: u64) -> Option<u64> {
        let slack = self.access_slack_ms().map(|slack_ms| now_ms.saturating_add(slack_ms));
        match (self.expires_at_ms(), slack) {
            _ if self.entry.deleted => None,
            (Some(expires), Some(slack)) => Some(expires.min(slack)),
            (expires, slack) => expires.or(slack),
        }
    }

    /// Notes an access.
    pub(super) fn touch(&mut self, now_ms: u64) {
        self.entry.accessed_ms = self.entry.accessed_ms.max(now_ms);
    }
}
