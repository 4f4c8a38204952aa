//! What the disk knows of the logs, when it is opened.

use std::collections::HashSet;
use std::ops::Range;

use super::engine::{DROPPED, ENDS, Engine, cause_of, table_key};
use super::logs::{Growing, Known, Logs};
use super::page::{TailEntry, read_tail};
use super::salvage::Salvaged;
use crate::store::batch::LogId;
use crate::store::chunk::Chunk;
use crate::store::error::Error;
use crate::store::records::Gap;

/// What was found on the disk.
#[derive(Default)]
pub(super) struct Recovered {
    pub(super) logs: Logs,
    /// Records before a gap: they need a page, for what is behind the gap grows in their place.
    pub(super) stranded: Vec<(LogId, Chunk<Vec<u8>>)>,
    /// What is missing.
    pub(super) gaps: Vec<Gap>,
    /// Where logs end whose last records are missing: that place is not to be given out again.
    pub(super) ends: Vec<(LogId, u64)>,
    dropped: HashSet<LogId>,
}

/// Reads where pages end, then the whole tail, then what was lost of either. Errors: [`Error::Failed`], with what cannot
/// be read.
pub(super) fn recover(engine: &Engine, mut lost: Salvaged) -> Result<Recovered, Error> {
    let mut recovered = Recovered { logs: page_ends(engine)?, ..Recovered::default() };
    for found in engine.tail.iter() {
        let (key, value) = found.into_inner().map_err(|error| unreadable("the tail", &error))?;
        let value = bytes::Bytes::from(value);
        let commit = (*key).try_into().ok().map(u64::from_be_bytes);
        let (Some(commit), Some(entries)) = (commit, read_tail(&value)) else {
            return Err(Error::Failed("the store holds a part of the tail that cannot be understood".to_owned()));
        };
        entries.into_iter().for_each(|entry| recovered.replay(commit, entry));
        let logs = &mut recovered.logs;
        logs.tail.push_back((commit, value.len()));
        logs.tail_bytes += value.len();
        logs.next_commit = commit + 1;
    }
    lost.records.sort_unstable_by_key(|(log, range)| (*log, range.start));
    lost.records.into_iter().for_each(|(log, range)| recovered.miss(log, range));
    let logs = &mut recovered.logs;
    for (log, known) in &logs.logs {
        if let Known::Growing(growing) = known {
            logs.oldest.insert((growing.first_commit, *log));
            logs.growing_bytes += growing.chunk.bytes.len();
        }
    }
    Ok(recovered)
}

fn page_ends(engine: &Engine) -> Result<Logs, Error> {
    let mut logs = Logs::default();
    let prefix = table_key(ENDS, &[]);
    for found in engine.tables.prefix(&prefix) {
        let (key, end) = found.into_inner().map_err(|error| unreadable("the ends of logs", &error))?;
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
        let (Some(log), Some(end)) = (key.get(prefix.len()..).and_then(number), number(&end)) else {
            return Err(Error::Failed("the store holds the end of a log that cannot be understood".to_owned()));
        };
        logs.logs.insert(LogId(log), Known::Paged { end });
    }
    Ok(logs)
}

impl Recovered {
    /// Does again what a commit did to a log, as far as pages have not kept it.
    fn replay(&mut self, commit: u64, entry: TailEntry) {
        let (log, records) = match entry {
            TailEntry::Dropped { log } => {
                self.stranded.retain(|(stranded, _)| *stranded != log);
                self.gaps.retain(|gap| gap.log != log);
                self.dropped.insert(log);
                return drop(self.logs.logs.remove(&log));
            }
            TailEntry::Appended { log, records } => (log, records),
        };
        let (mut begins, mut rest) = (records.start, &records.bytes[..]);
        for length in records.lengths() {
            let (record, behind) = rest.split_at(length as usize);
            self.append(commit, log, begins, record);
            (rest, begins) = (behind, begins + u64::from(length));
        }
    }

    /// Records of a log are lost. Where others follow that is known already, but for the first ones of a log.
    fn miss(&mut self, log: LogId, range: Range<u64>) {
        if self.dropped.contains(&log) {
            return;
        }
        let known = self.logs.logs.get(&log);
        let end = known.map_or(range.start, Known::end);
        let first = known.and_then(Known::growing).filter(|growing| !growing.paged).map(|growing| growing.chunk.start);
        if let Some(first) = first.filter(|first| range.start < *first && range.end <= *first) {
            self.gaps.push(Gap { log, from: range.start, until: first });
        }
        if range.start > end || range.end <= end {
            return;
        }
        self.gaps.push(Gap { log, from: end, until: range.end });
        if let Some(Known::Growing(growing)) = self.logs.logs.remove(&log) {
            self.stranded.push((log, growing.chunk));
        }
        self.logs.logs.insert(log, Known::Paged { end: range.end });
        self.ends.push((log, range.end));
    }

    fn append(&mut self, commit: u64, log: LogId, begins: u64, record: &[u8]) {
        let known = self.logs.logs.get_mut(&log);
        let (end, paged) = known.as_ref().map_or((begins, false), |known| (known.end(), known.has_pages()));
        if end > begins {
            return;
        }
        let mut paged = paged;
        if end < begins {
            self.gaps.push(Gap { log, from: end, until: begins });
        } else if let Some(Known::Growing(growing)) = known {
            return growing.chunk.push(record);
        }
        if let Some(Known::Growing(growing)) = self.logs.logs.remove(&log) {
            self.stranded.push((log, growing.chunk));
            paged = true;
        }
        let mut chunk = Chunk::starting_at(begins);
        chunk.push(record);
        self.logs.logs.insert(log, Known::Growing(Box::new(Growing { chunk, first_commit: commit, paged })));
    }
}

fn unreadable(what: &str, error: &fjall::Error) -> Error {
    Error::Failed(format!("{what} cannot be read: {}", cause_of(error)))
}

/// The logs that were dropped and still have pages, at most so many. Errors: [`Error::Failed`].
pub(super) fn dropped(engine: &Engine, count_max: usize) -> Result<Vec<LogId>, Error> {
    let prefix = table_key(DROPPED, &[]);
    let keys = engine.tables.prefix(&prefix).take(count_max);
    keys.map(|found| {
        let key = found.key().map_err(|error| unreadable("the dropped logs", &error))?;
        let id = key.get(prefix.len()..).unwrap_or_default().try_into().map(u64::from_be_bytes);
        id.map(LogId).map_err(|_| Error::Failed("the store holds a dropped log that cannot be understood".to_owned()))
    })
    .collect()
}
