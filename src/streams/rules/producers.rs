//! The producers that a stream remembers, and those that it has forgotten to make space for others.
//!
//! A table that is full must lock nobody out, and forgetting a producer must not let one of its requests count twice. So the
//! least recently used producers leave, and a short mark of each stays: if one of them comes back with the same epoch, nobody
//! can know if its request was accepted before, and it is refused until it begins a new epoch.

use std::collections::HashMap;
use std::sync::Arc;

use super::limits::Limits;
use super::refusal::Refusal;
use crate::streams::wire::{ProducerEntry, ProducerStamp, forgotten_id, forgotten_mark, mark_of};

/// Approximate bytes of a producer, in memory and in the store, besides its id.
const PRODUCER_BYTES: u64 = 256;

/// Copies of its id.
const ID_COPIES: u64 = 4;

/// Approximate bytes of the mark of a forgotten producer.
const MARK_BYTES: u64 = 128;

/// The part of a full table that is forgotten at a time, so that looking for the oldest is rare.
const FORGOTTEN_PART: usize = 16;

/// Time by which a producer that has sent a single request counts as older: it costs nothing to open many of them.
const SINGLE_REQUEST_MS: u64 = 60 * 60 * 1000;

/// Minimum time for which the mark of a forgotten producer is kept.
const MARK_MS: u64 = 60 * 60 * 1000;

/// The producers of one stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Producers {
    known: HashMap<Arc<str>, ProducerEntry>,
    /// The bytes of these.
    known_bytes: u64,
    /// Epoch and time of the last request of those that were forgotten, by their marks.
    forgotten: HashMap<u64, (u64, u64)>,
    /// The time until which no mark can be dropped, if that was looked up.
    marks_needed_until_ms: u64,
}

impl Producers {
    pub(super) fn get(&self, id: &str) -> Option<ProducerEntry> {
        self.known.get(id).copied()
    }

    /// Returns the epoch of a producer that was forgotten.
    pub(super) fn forgotten_epoch(&self, id: &str) -> Option<u64> {
        if self.forgotten.is_empty() {
            return None;
        }
        self.forgotten.get(&mark_of(id)).map(|(epoch, _)| *epoch)
    }

    /// Returns what the store keeps under an id: a producer, or the mark of one that was forgotten.
    pub(super) fn row(&self, id: &str) -> Option<ProducerEntry> {
        match forgotten_mark(id) {
            None => self.get(id),
            Some(mark) => {
                let (epoch, used_ms) = *self.forgotten.get(&mark)?;
                Some(ProducerEntry { epoch, last_seq: 0, used_ms })
            }
        }
    }

    /// Approximate bytes of all of this.
    pub(super) fn bytes(&self) -> u64 {
        self.known_bytes + MARK_BYTES * self.forgotten.len() as u64
    }

    /// Restores what the store has under an id.
    pub(super) fn restore(&mut self, id: Arc<str>, entry: ProducerEntry) {
        match forgotten_mark(&id) {
            None => self.put(id, entry),
            Some(mark) => drop(self.forgotten.insert(mark, (entry.epoch, entry.used_ms))),
        }
    }

    /// Remembers an accepted request. Returns the ids whose rows have changed.
    pub(super) fn accept(&mut self, stamp: &ProducerStamp, now_ms: u64) -> Vec<Arc<str>> {
        let mut rows = vec![stamp.id.clone()];
        if !self.forgotten.is_empty() && !self.known.contains_key(&stamp.id) {
            let mark = mark_of(&stamp.id);
            rows.extend(self.forgotten.remove(&mark).map(|_| forgotten_id(mark)));
        }
        self.put(stamp.id.clone(), ProducerEntry { epoch: stamp.epoch, last_seq: stamp.seq, used_ms: now_ms });
        rows
    }

    /// Makes space for a producer that is new to the stream, within the limits and `bytes_max` for all of this. Returns the ids
    /// whose rows have changed. Errors: [`Refusal::TooManyProducers`].
    pub(super) fn make_space(
        &mut self,
        id: &str,
        (now_ms, bytes_max): (u64, u64),
        limits: &Limits,
    ) -> Result<Vec<Arc<str>>, Refusal> {
        let mut rows = Vec::new();
        if self.known.contains_key(id) {
            return Ok(rows);
        }
        let bytes = bytes_of(id);
        while self.known.len() >= limits.producers_max
            || self.known_bytes + bytes > limits.producers_bytes_max
            || self.bytes() + bytes > bytes_max
        {
            if !self.forget_oldest(now_ms, limits, &mut rows) {
                let (producers_max, bytes_max) = (limits.producers_max, limits.producers_bytes_max.min(bytes_max));
                return Err(Refusal::TooManyProducers { producers_max, bytes_max });
            }
        }
        Ok(rows)
    }

    fn put(&mut self, id: Arc<str>, entry: ProducerEntry) {
        let bytes = bytes_of(&id);
        if self.known.insert(id, entry).is_none() {
            self.known_bytes += bytes;
        }
    }

    /// Forgets the oldest part of the producers. Returns false if none can be forgotten.
    fn forget_oldest(&mut self, now_ms: u64, limits: &Limits, rows: &mut Vec<Arc<str>>) -> bool {
        let count = (self.known.len() / FORGOTTEN_PART).max(1).min(self.known.len());
        let mut oldest: Vec<(u64, &Arc<str>)> =
            self.known.iter().map(|(id, producer)| (age_key(producer), id)).collect();
        if count < oldest.len() {
            oldest.select_nth_unstable(count);
        }
        let oldest: Vec<Arc<str>> = oldest.into_iter().take(count).map(|(_, id)| id.clone()).collect();
        self.drop_marks(now_ms, limits, count, rows);
        let mut forgot = false;
        for id in oldest {
            let Some(producer) = self.known.get(&id).copied() else { continue };
            let is_needed = producer.used_ms.saturating_add(limits.producer_idle_ms) > now_ms;
            if is_needed && self.forgotten.len() >= limits.producers_forgotten_max {
                continue;
            }
            self.known.remove(&id);
            self.known_bytes -= bytes_of(&id);
            if is_needed {
                let mark = mark_of(&id);
                self.forgotten.insert(mark, (producer.epoch, producer.used_ms));
                rows.push(forgotten_id(mark));
            }
            rows.push(id);
            forgot = true;
        }
        forgot
    }

    /// Drops the oldest marks, if there is no space for `count` more, and they are old enough.
    fn drop_marks(&mut self, now_ms: u64, limits: &Limits, count: usize, rows: &mut Vec<Arc<str>>) {
        if self.forgotten.len() + count <= limits.producers_forgotten_max || now_ms < self.marks_needed_until_ms {
            return;
        }
        let mut oldest: Vec<(u64, u64)> = self.forgotten.iter().map(|(mark, (_, used_ms))| (*used_ms, *mark)).collect();
        let count = count.max(limits.producers_forgotten_max / FORGOTTEN_PART).min(oldest.len());
        if count < oldest.len() {
            oldest.select_nth_unstable(count);
        }
        let needed_ms = MARK_MS.min(limits.producer_idle_ms);
        self.marks_needed_until_ms = oldest.iter().map(|(used_ms, _)| used_ms + needed_ms).min().unwrap_or(0);
        for (used_ms, mark) in oldest.into_iter().take(count) {
            if used_ms.saturating_add(needed_ms) <= now_ms {
                self.forgotten.remove(&mark);
                rows.push(forgotten_id(mark));
            }
        }
    }
}

/// Orders producers by the time of their last request.
fn age_key(producer: &ProducerEntry) -> u64 {
    let younger_by_ms = if producer.last_seq == 0 { 0 } else { SINGLE_REQUEST_MS };
    producer.used_ms.saturating_add(younger_by_ms)
}

/// Approximate bytes of a producer.
pub(super) fn bytes_of(id: &str) -> u64 {
    PRODUCER_BYTES + ID_COPIES * id.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::rules::tests::stage::LIMITS;

    const TABLE: Limits =
        Limits { producers_max: 100, producers_forgotten_max: 200, producer_idle_ms: 7 * 24 * MARK_MS, ..LIMITS };

    fn send(producers: &mut Producers, id: &str, (epoch, seq): (u64, u64), now_ms: u64) -> Result<(), Refusal> {
        producers.make_space(id, (now_ms, u64::MAX), &TABLE)?;
        producers.accept(&ProducerStamp { id: id.into(), epoch, seq }, now_ms);
        Ok(())
    }

    #[test]
    fn a_full_table_forgets_the_least_recently_used_and_keeps_their_marks() {
        let mut producers = Producers::default();
        send(&mut producers, "busy", (0, 0), 1).unwrap();
        send(&mut producers, "busy", (0, 1), 2).unwrap();
        for number in 0..250_u64 {
            send(&mut producers, &format!("stranger {number}"), (3, 0), 10 + number).unwrap();
        }
        assert!(producers.known.len() <= 100);
        assert_eq!(producers.get("busy").map(|busy| busy.last_seq), Some(1), "it has sent more than one request");
        assert_eq!((producers.get("stranger 0"), producers.forgotten_epoch("stranger 0")), (None, Some(3)));
        assert_eq!(producers.forgotten_epoch("never there"), None);
        send(&mut producers, "stranger 0", (4, 0), 999).unwrap();
        assert_eq!((producers.get("stranger 0").unwrap().epoch, producers.forgotten_epoch("stranger 0")), (4, None));
    }

    #[test]
    fn strangers_lock_others_out_for_an_hour_at_most() {
        let mut producers = Producers::default();
        let opened = (0..1_000_u64).take_while(|n| send(&mut producers, &n.to_string(), (0, 0), *n).is_ok()).count();
        assert!((294..=300).contains(&opened), "{opened}");
        assert!(producers.forgotten.len() <= 200);
        assert!(send(&mut producers, "honest", (0, 0), MARK_MS - 1).is_err());
        send(&mut producers, "honest", (0, 0), 2 * MARK_MS).unwrap();
    }

    #[test]
    fn what_was_idle_for_long_leaves_no_mark() {
        let mut producers = Producers::default();
        (0..100).for_each(|number| send(&mut producers, &number.to_string(), (0, 0), 5).unwrap());
        send(&mut producers, "late", (0, 0), 5 + TABLE.producer_idle_ms).unwrap();
        assert!(producers.forgotten.is_empty());
    }

    #[test]
    fn the_bytes_are_limited_too() {
        let mut producers = Producers::default();
        let limits = Limits { producers_bytes_max: 10_000, ..TABLE };
        for number in 0..40 {
            let id = format!("{number}{}", "x".repeat(200));
            producers.make_space(&id, (1, u64::MAX), &limits).unwrap();
            producers.accept(&ProducerStamp { id: id.into(), epoch: 0, seq: 0 }, 1);
            assert!(producers.known_bytes <= 10_000);
        }
        assert!(producers.make_space("new", (1, producers.bytes() / 8), &limits).is_err(), "the store is full");
    }
}
