//! Recovery: the memtable from the ends of pages and the journal. Pure.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;

use super::journal::{Change, Replay, changes_in, changes_in_parts};
use super::memtable::MemTable;
use crate::store::batch::LogId;
use crate::store::error::Cause;
use crate::store::records::Gap;

/// The result of a recovery.
pub(super) struct Recovered {
    pub(super) memtable: MemTable,
    /// Lost records.
    pub(super) gaps: Vec<Gap>,
    /// True if records were lost that are not among the gaps.
    pub(super) has_lost_unknown: bool,
    dropped: HashSet<LogId>,
}

/// Applies the journal to `memtable`, then notes what was lost of it. Errors: [`Cause::Malformed`].
pub(super) fn recover(memtable: MemTable, replay: &Replay) -> Result<Recovered, Cause> {
    let (gaps, has_lost_unknown, dropped) = (Vec::new(), replay.has_lost_unknown, HashSet::new());
    let mut recovered = Recovered { memtable, gaps, has_lost_unknown, dropped };
    for body in &replay.bodies {
        if !body.whole {
            for (change, intact) in changes_in_parts(&body.bytes) {
                if intact { recovered.apply(change) } else { recovered.skip(&change) }
            }
            continue;
        }
        let (changes, true) = changes_in(&body.bytes) else { return Err(Cause::Malformed("a commit in the journal")) };
        changes.into_iter().for_each(|change| recovered.apply(change));
    }
    let mut records = Vec::new();
    for (changes, whole) in replay.damaged.iter().map(changes_in) {
        recovered.has_lost_unknown |= !whole;
        for change in changes {
            match change {
                Change::Append { log, start, record } => records.push((log, start..start + record.len() as u64)),
                Change::Put { key, .. } | Change::Remove { key } => {
                    let key = String::from_utf8_lossy(&key).replace('\0', " ");
                    tracing::error!(key, "the journal is damaged: a change of this key is lost");
                }
                Change::Drop { .. } => {}
            }
        }
    }
    records.sort_unstable_by_key(|(log, range)| (*log, range.start));
    records.into_iter().for_each(|(log, range)| recovered.note_lost(log, range));
    Ok(recovered)
}

impl Recovered {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Append { log, start, record } => self.append(log, start, &record),
            Change::Drop { log } => {
                self.gaps.retain(|gap| gap.log != log);
                self.dropped.insert(log);
                self.memtable.apply(Change::Drop { log });
            }
            // Copied, so that the contents of the journal's files can be freed.
            Change::Put { key, value } => {
                let (key, value) = (Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value));
                self.memtable.apply(Change::Put { key, value });
            }
            Change::Remove { key } => self.memtable.apply(Change::Remove { key: Bytes::copy_from_slice(&key) }),
        }
    }

    /// Applies an append, unless the record is in a page already: a crash may fall between the end of a flush and the note of
    /// it.
    fn append(&mut self, log: LogId, start: u64, record: &[u8]) {
        let end = self.memtable.end(log).unwrap_or(start);
        if end > start {
            return;
        }
        if end < start {
            self.gaps.push(Gap { log, from: end, until: start });
            self.memtable.skip_to(log, start);
        }
        self.memtable.apply(Change::Append { log, start, record: Bytes::copy_from_slice(record).into() });
    }

    /// Skips an append whose record is damaged, while everything before it is present.
    fn skip(&mut self, change: &Change) {
        let Change::Append { log, start, record } = change else { return };
        let (end, until) = (self.memtable.end(*log).unwrap_or(*start), start + record.len() as u64);
        if end <= *start {
            self.gaps.push(Gap { log: *log, from: end, until });
            self.memtable.skip_to(*log, until);
        }
    }

    /// Notes lost records. A gap before other records is known already, except at the start of a log.
    fn note_lost(&mut self, log: LogId, range: Range<u64>) {
        if self.dropped.contains(&log) {
            return;
        }
        let end = self.memtable.end(log).unwrap_or(range.start);
        if let Some(first) = self.memtable.start_without_pages(log).filter(|first| range.end <= *first) {
            self.gaps.push(Gap { log, from: range.start, until: first });
        }
        if range.start <= end && range.end > end {
            self.gaps.push(Gap { log, from: end, until: range.end });
            self.memtable.skip_to(log, range.end);
        }
    }
}
