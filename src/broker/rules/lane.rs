//! Envelopes that wait, in the order of acceptance.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Envelope;

/// A line of waiting envelopes.
#[derive(Default)]
pub(super) struct Lane(VecDeque<Envelope>);

impl Lane {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the envelope that was accepted first.
    pub(super) fn first(&self) -> Option<&Envelope> {
        self.0.front()
    }

    pub(super) fn pop(&mut self) -> Option<Envelope> {
        self.0.pop_front()
    }

    /// Inserts an envelope at its position in the order.
    pub(super) fn insert(&mut self, envelope: Envelope) {
        match self.0.back() {
            Some(last) if last.sequence > envelope.sequence => {
                let position = self.0.partition_point(|other| other.sequence < envelope.sequence);
                self.0.insert(position, envelope);
            }
            Some(_) | None => self.0.push_back(envelope),
        }
    }

    /// Inserts many envelopes at their positions.
    pub(super) fn merge(&mut self, envelopes: impl IntoIterator<Item = Envelope>) {
        self.0.extend(envelopes);
        // Two sorted runs: the best case of a stable sort.
        self.0.make_contiguous().sort_by_key(|envelope| envelope.sequence);
    }

    /// Moves the envelopes whose window has passed to `late`. Returns their size.
    pub(super) fn expire(
        &mut self,
        now: Instant,
        window: impl Fn(&Envelope) -> Duration,
        late: &mut Vec<Envelope>,
    ) -> usize {
        let mut bytes = 0;
        while self.first().is_some_and(|envelope| envelope.is_late(now, window(envelope))) {
            let Some(envelope) = self.pop() else { break };
            bytes += envelope.bytes();
            late.push(envelope);
        }
        bytes
    }

    /// Removes and returns the envelopes that may go to another instance, in order.
    pub(super) fn take_movable(&mut self) -> VecDeque<Envelope> {
        let (movable, fixed) = std::mem::take(&mut self.0).into_iter().partition(|envelope| envelope.only.is_none());
        self.0 = fixed;
        movable
    }

    /// Removes and returns all envelopes, in order.
    pub(super) fn take_all(&mut self) -> VecDeque<Envelope> {
        std::mem::take(&mut self.0)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Envelope> {
        self.0.iter_mut()
    }
}
