//! The number of files that a store has open at once, as a part of what the process may open.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::store::obstacle::descriptors_max;
use crate::sync::lock;

/// Files that a store may have open for reading, whatever the number of logs and files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DescriptorBudget {
    /// Files of the database that stay open.
    pub(super) tables_max: usize,
    /// Retained segments that stay open.
    pub(super) segments_max: usize,
    /// Reads that may be on the disk at the same time. Each opens up to three further files for its duration.
    pub(super) reads_max: usize,
}

impl DescriptorBudget {
    /// Returns the budget for the limit of this process.
    pub(super) fn of_process() -> Self {
        Self::of(descriptors_max().unwrap_or(u64::MAX))
    }

    /// Returns at most a third of `limit`; a quarter of that is for reads.
    fn of(limit: u64) -> Self {
        let part = |parts: u64, least: usize, most: usize| {
            usize::try_from(limit / parts).unwrap_or(usize::MAX).clamp(least, most)
        };
        Self { tables_max: part(8, 8, 256), segments_max: part(32, 2, 64), reads_max: part(32, 2, 64) }
    }
}

/// Slots for reads from the disk. A read that finds none waits, on a thread that may block.
pub(super) struct ReadSlots {
    free: Mutex<usize>,
    freed: Condvar,
}

/// One slot, until it is dropped.
pub(super) struct ReadSlot<'a>(&'a ReadSlots);

impl ReadSlots {
    /// Creates `count` slots, at least one.
    pub(super) fn new(count: usize) -> Self {
        Self { free: Mutex::new(count.max(1)), freed: Condvar::new() }
    }

    /// Takes a slot; waits until one is free.
    pub(super) fn take(&self) -> ReadSlot<'_> {
        let none = |free: &mut usize| *free == 0;
        let mut free = self.freed.wait_while(lock(&self.free), none).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        ReadSlot(self)
    }
}

impl Drop for ReadSlot<'_> {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_leaves_most_descriptors_of_a_small_limit_to_connections() {
        for limit in [64, 256, 1024, 4096, 1 << 20] {
            let DescriptorBudget { tables_max, segments_max, reads_max } = DescriptorBudget::of(limit);
            let all = (tables_max + segments_max + 3 * reads_max) as u64;
            assert!(all <= limit / 3, "{all} of {limit}");
        }
        let usual = DescriptorBudget::of(1 << 20);
        assert_eq!(usual, DescriptorBudget { tables_max: 256, segments_max: 64, reads_max: 64 });
    }

    #[test]
    fn a_read_waits_for_a_slot() {
        let slots = ReadSlots::new(1);
        let first = slots.take();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| drop(slots.take()));
            assert!(!second.is_finished());
            drop(first);
        });
        assert_eq!(*lock(&slots.free), 1);
    }
}
