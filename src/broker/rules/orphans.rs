//! What waits for a role that has no instance to take it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Parcel;

/// The parcels of one role, always in the order they were published.
#[derive(Default)]
pub(crate) struct Orphans {
    parcels: VecDeque<Parcel>,
    bytes: usize,
}

impl Orphans {
    pub(crate) fn len(&self) -> usize {
        self.parcels.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the parcel at its place in the order.
    pub(crate) fn insert(&mut self, parcel: Parcel) {
        self.bytes += parcel.bytes();
        let place = self.parcels.partition_point(|other| other.sequence < parcel.sequence);
        self.parcels.insert(place, parcel);
    }

    /// Moves what is late to `late`.
    pub(crate) fn expire(&mut self, now: Instant, window: Duration, late: &mut Vec<Parcel>) {
        while self.parcels.front().is_some_and(|parcel| parcel.is_late(now, window)) {
            let Some(parcel) = self.parcels.pop_front() else { return };
            self.bytes -= parcel.bytes();
            late.push(parcel);
        }
    }

    /// All of it, in order.
    pub(crate) fn into_parcels(self) -> VecDeque<Parcel> {
        self.parcels
    }
}
