//! Messages for a role that has no instance at the moment.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Envelope;
use super::lane::Lane;

/// The envelopes of one absent role, in the order of acceptance.
#[derive(Default)]
pub(crate) struct Backlog {
    envelopes: Lane,
    bytes: usize,
}

impl Backlog {
    pub(crate) fn len(&self) -> usize {
        self.envelopes.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the time at which the oldest envelope was accepted.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.envelopes.first().map(|envelope| envelope.accepted)
    }

    /// Inserts the envelope at its position in the order.
    pub(crate) fn insert(&mut self, envelope: Envelope) {
        self.bytes += envelope.bytes();
        self.envelopes.insert(envelope);
    }

    /// Moves the envelopes whose window has passed to `late`.
    pub(crate) fn expire(&mut self, now: Instant, window: Duration, late: &mut Vec<Envelope>) {
        self.bytes -= self.envelopes.expire(now, |_| window, late);
    }

    /// Returns all envelopes, in order.
    pub(crate) fn into_envelopes(mut self) -> VecDeque<Envelope> {
        self.envelopes.take_all()
    }
}
