//! Free-space accounting. Pure.
//!
//! The free space of the disk is measured only now and then, and much can be written between two measurements. So these count
//! as used, too: what was written since the last measurement, what is in the memtable, and what is reserved. The state is a few
//! atomics, as every append asks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::store::error::Error;

/// Number of times that a byte is on the disk until its journal segment is reused: in the journal, and in the database.
const TIMES_WRITTEN: u64 = 2;

/// Content is accepted again when the free space exceeds the minimum by this part of it, so that writers are not accepted and
/// refused in turns.
const MARGIN_PART: u64 = 16;

/// Free-space accounting for the data directory.
#[derive(Debug)]
pub(super) struct FreeSpace {
    free_bytes_min: u64,
    /// Bytes written since the start, as they occupy the disk.
    written_bytes: AtomicU64,
    /// The value of `written_bytes` at which nothing will be free, as of the last measurement.
    budget_bytes: AtomicU64,
    /// Set when content is refused, until a measurement shows enough free space.
    refusing: AtomicBool,
    /// Set while flushing fails.
    flush_failing: AtomicBool,
}

impl FreeSpace {
    /// Creates an account without a limit, until the first measurement.
    pub(super) fn new(free_bytes_min: u64) -> Self {
        Self {
            free_bytes_min,
            written_bytes: AtomicU64::new(0),
            budget_bytes: AtomicU64::new(u64::MAX),
            refusing: AtomicBool::new(false),
            flush_failing: AtomicBool::new(false),
        }
    }

    /// Checks that the minimum stays free after `reserved_bytes` more are written, which is everything that is reserved.
    /// Refuses from then on until a measurement shows enough free space. Errors: [`Error::DiskFull`],
    /// [`Error::FlushFailing`].
    pub(super) fn check(&self, reserved_bytes: u64) -> Result<(), Error> {
        let free_bytes = self.free_bytes();
        let needed_bytes = self.free_bytes_min.saturating_add(reserved_bytes.saturating_mul(TIMES_WRITTEN));
        if free_bytes < needed_bytes {
            self.refusing.store(true, Ordering::Relaxed);
            return Err(Error::DiskFull { free_bytes, needed_bytes });
        }
        if self.flush_failing.load(Ordering::Relaxed) {
            return Err(Error::FlushFailing);
        }
        if self.refusing.load(Ordering::Relaxed) {
            return Err(Error::DiskFull { free_bytes, needed_bytes: needed_bytes.max(self.enough_bytes()) });
        }
        Ok(())
    }

    /// Refuses content while flushing fails, as it would only be in memory and in the journal.
    pub(super) fn set_flush_failing(&self, failing: bool) {
        self.flush_failing.store(failing, Ordering::Relaxed);
    }

    /// Returns true while flushing fails.
    pub(super) fn is_flush_failing(&self) -> bool {
        self.flush_failing.load(Ordering::Relaxed)
    }

    /// Counts bytes that are about to be committed.
    pub(super) fn count_commit(&self, bytes: u64) {
        self.written_bytes.fetch_add(bytes.saturating_mul(TIMES_WRITTEN), Ordering::Relaxed);
    }

    /// Returns the bytes written so far; read it before a measurement, for [`FreeSpace::measured`].
    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed)
    }

    /// Takes a measurement: `free_bytes` on the disk, of which `memtable_bytes` will be needed for a flush. What was written
    /// during the measurement may count twice until the next one.
    pub(super) fn measured(&self, written_bytes: u64, free_bytes: u64, memtable_bytes: u64) {
        let left = free_bytes.saturating_sub(memtable_bytes);
        self.budget_bytes.store(written_bytes.saturating_add(left), Ordering::Relaxed);
        if left >= self.enough_bytes() {
            self.refusing.store(false, Ordering::Relaxed);
        }
    }

    /// Returns the free bytes, less those that will be written.
    pub(super) fn free_bytes(&self) -> u64 {
        self.budget_bytes.load(Ordering::Relaxed).saturating_sub(self.written_bytes())
    }

    /// Returns true if content is refused, or would be.
    pub(super) fn is_short(&self) -> bool {
        self.refusing.load(Ordering::Relaxed) || self.free_bytes() < self.free_bytes_min
    }

    fn enough_bytes(&self) -> u64 {
        self.free_bytes_min.saturating_add(self.free_bytes_min / MARGIN_PART)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1000 bytes are to stay free.
    fn free_space(free_bytes: u64, memtable_bytes: u64) -> FreeSpace {
        let free_space = FreeSpace::new(1000);
        free_space.measured(0, free_bytes, memtable_bytes);
        free_space
    }

    fn check(free_space: &FreeSpace, reserved_bytes: u64, accepted: bool) {
        let checked = free_space.check(reserved_bytes);
        assert_eq!(checked.is_ok(), accepted, "{free_space:?}, {reserved_bytes} are reserved");
    }

    #[test]
    fn reserved_bytes_count_as_often_as_they_will_be_written() {
        check(&free_space(1200, 0), 100, true);
        check(&free_space(1200, 0), 101, false);
    }

    #[test]
    fn the_memtable_counts() {
        check(&free_space(1200, 200), 0, true);
        check(&free_space(1200, 201), 0, false);
        check(&free_space(1200, 2000), 0, false);
    }

    #[test]
    fn commits_count_until_the_next_measurement() {
        let free_space = free_space(1200, 0);
        free_space.count_commit(60);
        check(&free_space, 40, true);
        check(&free_space, 41, false);
        free_space.measured(free_space.written_bytes(), 1080, 0);
        check(&free_space, 40, true);
    }

    #[test]
    fn commits_during_a_measurement_are_not_forgotten() {
        let free_space = free_space(5000, 0);
        let before = free_space.written_bytes();
        free_space.count_commit(100);
        free_space.measured(before, 1200, 0);
        check(&free_space, 1, false);
    }

    #[test]
    fn refusing_ends_when_a_measurement_shows_more_than_the_minimum() {
        let free_space = free_space(1200, 0);
        check(&free_space, 101, false);
        check(&free_space, 0, false);
        free_space.measured(0, 1061, 0);
        check(&free_space, 0, false);
        free_space.measured(0, 1062, 0);
        check(&free_space, 0, true);
    }

    #[test]
    fn content_is_refused_while_flushing_fails() {
        let free_space = free_space(5000, 0);
        free_space.set_flush_failing(true);
        free_space.measured(0, 5000, 0);
        assert!(matches!(free_space.check(1), Err(Error::FlushFailing)));
        free_space.set_flush_failing(false);
        check(&free_space, 1, true);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let free_space = FreeSpace::new(u64::MAX);
        free_space.measured(0, 10, 20);
        free_space.count_commit(u64::MAX);
        check(&free_space, u64::MAX, false);
        assert!(free_space.is_short());
    }
}
