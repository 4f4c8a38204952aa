//! Messages for a role that has no instance at the moment.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Envelope;

/// The envelopes of one absent role, in the order of acceptance.
#[derive(Default)]
pub(crate) struct Backlog {
    envelopes: VecDeque<Envelope>,
    bytes: usize,
}

impl Backlog {
    pub(crate) fn len(&self) -> usize {
        self.envelopes.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Inserts the envelope at its position in the order.
    pub(crate) fn insert(&mut self, envelope: Envelope) {
        self.bytes += envelope.bytes();
        let position = self.envelopes.partition_point(|other| other.sequence < envelope.sequence);
        self.envelopes.insert(position, envelope);
    }

    /// Moves the envelopes whose window has passed to `late`.
    pub(crate) fn expire(&mut self, now: Instant, window: Duration, late: &mut Vec<Envelope>) {
        while self.envelopes.front().is_some_and(|envelope| envelope.is_late(now, window)) {
            let Some(envelope) = self.envelopes.pop_front() else { return };
            self.bytes -= envelope.bytes();
            late.push(envelope);
        }
    }

    /// Returns all envelopes, in order.
    pub(crate) fn into_envelopes(self) -> VecDeque<Envelope> {
        self.envelopes
    }
}
