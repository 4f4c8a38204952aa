//! What the disk knows when it is opened: what is settled, and what the journal says behind that. Pure, but for the reading.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;

use super::journal::{Change, Replay, changes_in, changes_in_parts};
use super::unsettled::Unsettled;
use crate::store::batch::LogId;
use crate::store::error::Error;
use crate::store::records::Gap;

/// What was found on the disk.
pub(super) struct Recovered {
    pub(super) unsettled: Unsettled,
    /// What is missing.
    pub(super) gaps: Vec<Gap>,
    dropped: HashSet<LogId>,
}

/// Does again what the journal holds, over what is settled, then marks what is lost of it. Errors: [`Error::Failed`], with
/// what cannot be understood.
pub(super) fn recover(settled: Unsettled, replay: &Replay) -> Result<Recovered, Error> {
    let mut recovered = Recovered { unsettled: settled, gaps: Vec::new(), dropped: HashSet::new() };
    for body in &replay.bodies {
        if !body.whole {
            let changes = changes_in_parts(&body.bytes).into_iter();
            changes.for_each(
                |(change, sound)| if sound { recovered.replay(change) } else { recovered.pass_over(&change) },
            );
            continue;
        }
        let (changes, true) = changes_in(&body.bytes) else {
            return Err(Error::Failed("the journal holds a commit that cannot be understood".to_owned()));
        };
        changes.into_iter().for_each(|change| recovered.replay(change));
    }
    let mut records = Vec::new();
    for change in replay.damaged.iter().flat_map(|body| changes_in(body).0) {
        match change {
            Change::Append { log, start, record } => records.push((log, start..start + record.len() as u64)),
            Change::Put { key, .. } | Change::Remove { key } => {
                let key = String::from_utf8_lossy(&key).replace('\0', " ");
                tracing::error!(key, "the journal is damaged: a change of this key is lost");
            }
            Change::Drop { .. } => {}
        }
    }
    records.sort_unstable_by_key(|(log, range)| (*log, range.start));
    records.into_iter().for_each(|(log, range)| recovered.miss(log, range));
    Ok(recovered)
}

impl Recovered {
    fn replay(&mut self, change: Change) {
        match change {
            Change::Append { log, start, record } => self.append(log, start, &record),
            Change::Drop { log } => {
                self.gaps.retain(|gap| gap.log != log);
                self.dropped.insert(log);
                self.unsettled.apply(Change::Drop { log });
            }
            // The bytes are those of the file, which need not stay.
            Change::Put { key, value } => {
                let (key, value) = (Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value));
                self.unsettled.apply(Change::Put { key, value });
            }
            Change::Remove { key } => self.unsettled.apply(Change::Remove { key: Bytes::copy_from_slice(&key) }),
        }
    }

    /// A record, unless it is settled although its commit is not: the store was settling when it was closed.
    fn append(&mut self, log: LogId, start: u64, record: &[u8]) {
        let end = self.unsettled.end(log).unwrap_or(start);
        if end > start {
            return;
        }
        if end < start {
            self.gaps.push(Gap { log, from: end, until: start });
            self.unsettled.skip_to(log, start);
        }
        self.unsettled.apply(Change::Append { log, start, record: Bytes::copy_from_slice(record).into() });
    }

    /// The record of an append is lost, and nothing that came before it.
    fn pass_over(&mut self, change: &Change) {
        let Change::Append { log, start, record } = change else { return };
        let (end, until) = (self.unsettled.end(*log).unwrap_or(*start), start + record.len() as u64);
        if end <= *start {
            self.gaps.push(Gap { log: *log, from: end, until });
            self.unsettled.skip_to(*log, until);
        }
    }

    /// Records of a log are lost. Where others follow that is known already, but for the first ones of a log.
    fn miss(&mut self, log: LogId, range: Range<u64>) {
        if self.dropped.contains(&log) {
            return;
        }
        let end = self.unsettled.end(log).unwrap_or(range.start);
        if let Some(first) = self.unsettled.first(log).filter(|first| range.end <= *first) {
            self.gaps.push(Gap { log, from: range.start, until: first });
        }
        if range.start <= end && range.end > end {
            self.gaps.push(Gap { log, from: end, until: range.end });
            self.unsettled.skip_to(log, range.end);
        }
    }
}
