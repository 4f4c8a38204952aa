//! The memtable: what the journal holds and the database does not have yet, and the end of every log. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Bound, Range};
use std::sync::Arc;

use bytes::Bytes;

use super::generation::{Generation, Keys, LogGrowth};
use super::journal::Change;
use super::page_merge::{MERGED_PAGES, SMALL_BYTES};
use super::retained::RecordLocation;
use crate::store::batch::LogId;
use crate::store::chunk::Chunk;
use crate::store::log::Log;
use crate::store::records::Run;

/// One log.
#[derive(Debug)]
enum LogState {
    /// All records are in pages.
    Paged { end: u64, small_pages: u8 },
    /// The last records are only here.
    Growing(Box<GrowingLog>),
}

/// There may be millions of logs.
const _: () = assert!(size_of::<LogState>() <= 16);

#[derive(Debug)]
struct GrowingLog {
    log: Log,
    /// Number of chunks that are being flushed.
    flushing: usize,
    /// True if there are pages before the chunks.
    paged: bool,
    /// Number of small pages at the end of the log.
    small_pages: u8,
    /// Locations in the journal of the large records that are not being flushed, with their positions.
    locations: Vec<(u64, RecordLocation)>,
}

/// All logs, and the keys that were changed.
#[derive(Debug, Default)]
pub(super) struct MemTable {
    logs: HashMap<LogId, LogState>,
    /// The logs that were appended to since the last generation; some were dropped since.
    grown: Vec<LogId>,
    /// The logs with pages that were dropped since the last generation.
    dropped: BTreeSet<LogId>,
    keys: Keys,
    flushing_keys: Arc<Keys>,
    bytes: usize,
    flushing_bytes: usize,
}

/// The answer to a read.
pub(super) enum Lookup {
    /// The records; `None` if no record begins at the position.
    Found(Option<Run>),
    /// The records before this position are in pages.
    PagesUntil(u64),
}

impl LogState {
    fn end(&self) -> u64 {
        match self {
            Self::Paged { end, .. } => *end,
            Self::Growing(growing) => growing.log.end(),
        }
    }
}

/// Returns the count of small pages that a log starts with. It need not be true; different values keep logs that grow together
/// from being merged together.
fn initial_small_pages(log: LogId) -> u8 {
    (log.0 % u64::from(MERGED_PAGES)) as u8
}

impl GrowingLog {
    /// Counts the page that these chunks will make, and returns true if it is time to merge the small pages.
    fn count_page(&mut self, chunks: &[Chunk<Bytes>]) -> bool {
        let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        let is_small = bytes < SMALL_BYTES && self.locations.is_empty();
        let merges = is_small && self.small_pages + 1 >= MERGED_PAGES;
        self.small_pages = if is_small && !merges { self.small_pages + 1 } else { 0 };
        merges
    }
}

impl MemTable {
    /// Creates an empty memtable over pages with these ends.
    pub(super) fn over(page_ends: impl Iterator<Item = (LogId, u64)>) -> Self {
        let paged = |(log, end)| (log, LogState::Paged { end, small_pages: initial_small_pages(log) });
        Self { logs: page_ends.map(paged).collect(), ..Self::default() }
    }

    pub(super) fn end(&self, log: LogId) -> Option<u64> {
        self.logs.get(&log).map(LogState::end)
    }

    /// Returns true if logs were dropped whose pages can be removed after a flush.
    pub(super) fn has_dropped(&self) -> bool {
        !self.dropped.is_empty()
    }

    /// Returns the start of a log that has no pages.
    pub(super) fn start_without_pages(&self, log: LogId) -> Option<u64> {
        match self.logs.get(&log)? {
            LogState::Growing(growing) if !growing.paged => Some(growing.log.start()),
            LogState::Growing(_) | LogState::Paged { .. } => None,
        }
    }

    /// Returns the size of the records and keys that are not flushed.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.flushing_bytes
    }

    /// Returns the value of a key, `Some(&None)` if it was removed; `None` if the key was not changed.
    pub(super) fn key(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.keys.get(key).or_else(|| self.flushing_keys.get(key))
    }

    /// Returns the first changed keys in a range, at most `count_max` (at least one), and the last of them if there may be
    /// more.
    pub(super) fn some_keys(&self, range: (Bound<Bytes>, Bound<Bytes>), count_max: usize) -> (Keys, Option<Bytes>) {
        let count = count_max.max(1);
        let some = |keys: &Keys| -> Vec<(Bytes, Option<Bytes>)> {
            keys.range(range.clone()).take(count).map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let (flushing, changed) = (some(&self.flushing_keys), some(&self.keys));
        let more = |found: &[(Bytes, Option<Bytes>)]| (found.len() == count).then(|| found[count - 1].0.clone());
        let until = more(&flushing).into_iter().chain(more(&changed)).min();
        let mut keys: Keys = flushing.into_iter().chain(changed).collect();
        if let Some(until) = &until {
            keys.retain(|key, _| key <= until);
        }
        (keys, until)
    }

    /// Reads records of a range, which must not be empty.
    pub(super) fn look_up(&self, log: LogId, range: &Range<u64>, bytes_max: usize, one_at_least: bool) -> Lookup {
        let Some(state) = self.logs.get(&log) else { return Lookup::Found(None) };
        if range.start == state.end() {
            return Lookup::Found(Some(Run { chunks: Vec::new(), end: range.start }));
        }
        match state {
            LogState::Paged { end, .. } if range.start < *end => Lookup::PagesUntil(*end),
            LogState::Paged { .. } => Lookup::Found(None),
            LogState::Growing(growing) if range.start < growing.log.start() => match growing.paged {
                true => Lookup::PagesUntil(growing.log.start()),
                false => Lookup::Found(None),
            },
            LogState::Growing(growing) => Lookup::Found(growing.log.read(range.clone(), bytes_max, one_at_least)),
        }
    }

    /// Returns the start of the record that holds a byte; `None` if none here does: it may be in a page.
    pub(super) fn record_start(&self, log: LogId, position: u64) -> Option<u64> {
        match self.logs.get(&log)? {
            LogState::Growing(growing) => growing.log.record_start(position),
            LogState::Paged { .. } => None,
        }
    }

    /// Returns the position where the records begin that are only here, if it is after this one.
    pub(super) fn start_after(&self, log: LogId, position: u64) -> Option<u64> {
        match self.logs.get(&log)? {
            LogState::Growing(growing) => Some(growing.log.start()).filter(|start| *start > position),
            LogState::Paged { .. } => None,
        }
    }

    /// Applies the changes of a commit; `locations` are those of its large records, in order.
    pub(super) fn apply_all(&mut self, changes: Vec<Change>, locations: Vec<RecordLocation>) {
        let mut locations = locations.into_iter();
        for change in changes {
            let large = match &change {
                Change::Append { log, start, record } if record.is_large() => Some((*log, *start)),
                _ => None,
            };
            self.apply(change);
            if let Some((log, start)) = large
                && let Some(location) = locations.next()
                && let Some(LogState::Growing(growing)) = self.logs.get_mut(&log)
            {
                growing.locations.push((start, location));
            }
        }
    }

    /// Applies one change.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Append { log, start, record } => {
                self.bytes += record.len();
                self.growing(log, start).append_shared(record.bytes());
            }
            Change::Drop { log } => self.forget(log),
            Change::Put { key, value } => self.put(key, Some(value)),
            Change::Remove { key } => self.put(key, None),
        }
    }

    fn put(&mut self, key: Bytes, value: Option<Bytes>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
        self.keys.insert(key, value);
    }

    /// Returns the records of a log to append to; a new log begins at `start`.
    fn growing(&mut self, log: LogId, start: u64) -> &mut Log {
        let growing = |start, paged, small_pages| {
            let log = Log::starting_at(start);
            LogState::Growing(Box::new(GrowingLog { log, flushing: 0, paged, small_pages, locations: Vec::new() }))
        };
        let state = self.logs.entry(log).or_insert_with(|| growing(start, false, initial_small_pages(log)));
        if let LogState::Paged { end, small_pages } = state {
            *state = growing(*end, true, *small_pages);
        }
        let LogState::Growing(growing) = state else { unreachable!("it grows now") };
        if growing.log.chunk_count() == growing.flushing {
            self.grown.push(log);
        }
        &mut growing.log
    }

    fn forget(&mut self, log: LogId) {
        let has_pages = match self.logs.remove(&log) {
            None => false,
            Some(LogState::Paged { .. }) => true,
            Some(LogState::Growing(growing)) => growing.paged || growing.flushing > 0,
        };
        if has_pages {
            self.dropped.insert(log);
        }
    }

    /// Continues a log at `position`: the records before it that are not present are lost.
    pub(super) fn skip_to(&mut self, log: LogId, position: u64) {
        self.growing(log, position).skip_to(position);
    }

    /// Collects everything that is not being flushed yet. It stays readable.
    pub(super) fn generation(&mut self) -> Generation {
        let mut logs = BTreeMap::new();
        for log in std::mem::take(&mut self.grown) {
            // Otherwise it was dropped since.
            if let Some(LogState::Growing(growing)) = self.logs.get_mut(&log) {
                let chunks = growing.log.close().to_vec();
                growing.flushing = chunks.len();
                let merges = growing.count_page(&chunks);
                let locations = std::mem::take(&mut growing.locations);
                logs.insert(log, LogGrowth { chunks, end: growing.log.end(), merges, locations });
            }
        }
        self.flushing_keys = Arc::new(std::mem::take(&mut self.keys));
        self.flushing_bytes = std::mem::take(&mut self.bytes);
        Generation { logs, dropped: std::mem::take(&mut self.dropped), keys: Arc::clone(&self.flushing_keys) }
    }

    /// Releases what a generation holds, as it can be read from the database now.
    pub(super) fn flushed(&mut self, generation: &Generation) {
        for log in generation.logs.keys() {
            // Otherwise it was dropped since.
            let Some(state) = self.logs.get_mut(log) else { continue };
            let LogState::Growing(growing) = state else { continue };
            growing.log.forget(std::mem::take(&mut growing.flushing));
            growing.paged = true;
            if growing.log.is_empty() {
                *state = LogState::Paged { end: growing.log.end(), small_pages: growing.small_pages };
            }
        }
        self.flushing_keys = Arc::default();
        self.flushing_bytes = 0;
    }
}
