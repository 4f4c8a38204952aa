//! How much may still be written. Pure.
//!
//! The disk tells what is free now and then only, and much can be written between two looks. So what was written since the
//! last look counts, what is in the journal and not settled, and what was accepted and is on its way. All of it is a few atomics:
//! every append asks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::store::error::Error;

/// How often a byte gets to the disk until the journal lets go of it: in the journal, and where it is settled.
const TIMES_WRITTEN: u64 = 2;

/// What the room must be above the least, in parts of that, before content is taken again: so that nobody is taken and
/// refused in turns.
const MARGIN_PART: u64 = 16;

/// What is known of the room on the disk.
#[derive(Debug)]
pub(super) struct Room {
    free_bytes_min: u64,
    /// Everything that was written since the start, as bytes on the disk.
    spent_bytes: AtomicU64,
    /// What `spent_bytes` may come to until nothing is free, as of the last look.
    budget_bytes: AtomicU64,
    /// Set where content was refused, until a look shows room.
    refusing: AtomicBool,
    /// Set as long as settling fails.
    stuck: AtomicBool,
}

impl Room {
    /// Room without end, until the first look.
    pub(super) fn new(free_bytes_min: u64) -> Self {
        Self {
            free_bytes_min,
            spent_bytes: AtomicU64::new(0),
            budget_bytes: AtomicU64::new(u64::MAX),
            refusing: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
        }
    }

    /// Whether so many bytes, which are all that was accepted and is not written, leave the least free. Once it says no,
    /// it does so until a look shows room. Errors: [`Error::NoRoom`], [`Error::Failed`] as long as it is stuck.
    pub(super) fn check(&self, coming_bytes: u64) -> Result<(), Error> {
        let free_bytes = self.free_bytes();
        let needed_bytes = self.free_bytes_min.saturating_add(coming_bytes.saturating_mul(TIMES_WRITTEN));
        if free_bytes < needed_bytes {
            self.refusing.store(true, Ordering::Relaxed);
            return Err(Error::NoRoom { free_bytes, needed_bytes });
        }
        if self.stuck.load(Ordering::Relaxed) {
            return Err(Error::Failed("what was written cannot be settled, and the log tells why".to_owned()));
        }
        if self.refusing.load(Ordering::Relaxed) {
            return Err(Error::NoRoom { free_bytes, needed_bytes: needed_bytes.max(self.enough_bytes()) });
        }
        Ok(())
    }

    /// Takes no content as long as what was written cannot be settled: it would only be in memory and in the journal.
    pub(super) fn stick(&self, stuck: bool) {
        self.stuck.store(stuck, Ordering::Relaxed);
    }

    /// So many bytes are about to be committed.
    pub(super) fn spend(&self, bytes: u64) {
        self.spent_bytes.fetch_add(bytes.saturating_mul(TIMES_WRITTEN), Ordering::Relaxed);
    }

    /// What was spent so far: ask before a look, and tell [`Room::looked`].
    pub(super) fn spent_bytes(&self) -> u64 {
        self.spent_bytes.load(Ordering::Relaxed)
    }

    /// The disk has told that so much is free, `held_bytes` of which are for what is in memory only. What was spent while
    /// it was asked may count twice until the next look.
    pub(super) fn looked(&self, spent_bytes: u64, free_bytes: u64, held_bytes: u64) {
        let left = free_bytes.saturating_sub(held_bytes);
        self.budget_bytes.store(spent_bytes.saturating_add(left), Ordering::Relaxed);
        if left >= self.enough_bytes() {
            self.refusing.store(false, Ordering::Relaxed);
        }
    }

    /// What is free, less what is known to be written yet.
    pub(super) fn free_bytes(&self) -> u64 {
        self.budget_bytes.load(Ordering::Relaxed).saturating_sub(self.spent_bytes())
    }

    /// Whether content is refused, or would be.
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

    /// 1000 bytes are to stay free, of as many as these.
    fn room(free_bytes: u64, held_bytes: u64) -> Room {
        let room = Room::new(1000);
        room.looked(0, free_bytes, held_bytes);
        room
    }

    fn check(room: &Room, coming_bytes: u64, takes: bool) {
        assert_eq!(room.check(coming_bytes).is_ok(), takes, "{room:?}, {coming_bytes} come");
    }

    #[test]
    fn what_is_on_its_way_counts_as_often_as_it_will_be_written() {
        check(&room(1200, 0), 100, true);
        check(&room(1200, 0), 101, false);
    }

    #[test]
    fn what_is_not_settled_counts() {
        check(&room(1200, 200), 0, true);
        check(&room(1200, 201), 0, false);
        check(&room(1200, 2000), 0, false);
    }

    #[test]
    fn what_was_written_since_the_last_look_counts_until_the_next() {
        let room = room(1200, 0);
        room.spend(60);
        check(&room, 40, true);
        check(&room, 41, false);
        room.looked(room.spent_bytes(), 1080, 0);
        check(&room, 40, true);
    }

    #[test]
    fn what_is_written_during_a_look_is_not_forgotten() {
        let room = room(5000, 0);
        let before = room.spent_bytes();
        room.spend(100);
        room.looked(before, 1200, 0);
        check(&room, 1, false);
    }

    #[test]
    fn who_was_refused_stays_so_until_a_look_shows_room_with_a_margin() {
        let room = room(1200, 0);
        check(&room, 101, false);
        check(&room, 0, false);
        room.looked(0, 1061, 0);
        check(&room, 0, false);
        room.looked(0, 1062, 0);
        check(&room, 0, true);
    }

    #[test]
    fn nothing_is_taken_while_nothing_can_be_settled_whatever_a_look_shows() {
        let room = room(5000, 0);
        room.stick(true);
        room.looked(0, 5000, 0);
        assert!(matches!(room.check(1), Err(Error::Failed(_))));
        room.stick(false);
        check(&room, 1, true);
    }

    #[test]
    fn the_largest_numbers_do_no_harm() {
        let room = Room::new(u64::MAX);
        room.looked(0, 10, 20);
        room.spend(u64::MAX);
        check(&room, u64::MAX, false);
        assert!(room.is_short());
    }
}
