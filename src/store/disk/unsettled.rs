//! What the journal holds and fjall does not have yet, as readers find it, and where every log ends. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Bound, Range};
use std::sync::Arc;

use bytes::Bytes;

use super::joining::{JOINED, SMALL_BYTES};
use super::journal::Change;
use super::kept::Place;
use crate::store::batch::LogId;
use crate::store::chunk::Chunk;
use crate::store::log::Log;
use crate::store::records::Run;

/// Keys of tables, each with its value; `None` if it was taken away.
pub(super) type Keys = BTreeMap<Bytes, Option<Bytes>>;

/// One log.
#[derive(Debug)]
enum Known {
    /// All of its records are in pages.
    Paged { end: u64, small: u8 },
    /// Its last records are here only.
    Growing(Box<Growing>),
}

/// There may be millions.
const _: () = assert!(size_of::<Known>() <= 16);

#[derive(Debug)]
struct Growing {
    log: Log,
    /// How many of its chunks are being settled.
    settling: usize,
    /// Whether there are pages before them.
    paged: bool,
    /// How many small ones there are at the end.
    small: u8,
    /// Where large records are in the journal, which of them are not being settled, each with its position.
    places: Vec<(u64, Place)>,
}

/// All logs, and the keys that were changed.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    logs: HashMap<LogId, Known>,
    /// The logs that have got records since the last generation; some of them were dropped.
    grown: Vec<LogId>,
    /// The logs that were dropped since then and have pages.
    dropped: BTreeSet<LogId>,
    keys: Keys,
    settling_keys: Arc<Keys>,
    bytes: usize,
    settling_bytes: usize,
}

/// Everything that is settled together.
#[derive(Debug, Default)]
pub(super) struct Generation {
    /// By their numbers, those that have got records.
    pub(super) logs: BTreeMap<LogId, Grown>,
    /// Logs whose pages are to be thrown away.
    pub(super) dropped: BTreeSet<LogId>,
    pub(super) keys: Arc<Keys>,
}

/// What a log has got.
#[derive(Debug, Default)]
pub(super) struct Grown {
    /// The records that are in no page yet.
    pub(super) chunks: Vec<Chunk<Bytes>>,
    /// Where the log ends with them.
    pub(super) end: u64,
    /// Whether they take in the small pages before them.
    pub(super) joins: bool,
    /// Where large ones are in the journal, in their order, each with its position.
    pub(super) places: Vec<(u64, Place)>,
}

/// What the memory can tell of a read.
pub(super) enum Look {
    /// All of it.
    Told(Option<Run>),
    /// What comes before this position is in pages.
    PagesUntil(u64),
}

impl Generation {
    /// First byte and length of the large records in a segment of the journal, in no order.
    pub(super) fn large_in(&self, segment: u64) -> Vec<(u64, u64)> {
        let places = self.logs.values().flat_map(|grown| &grown.places).map(|(_, place)| place);
        places.filter(|place| place.segment == segment).map(|place| (place.offset, u64::from(place.bytes))).collect()
    }
}

impl Known {
    fn end(&self) -> u64 {
        match self {
            Self::Paged { end, .. } => *end,
            Self::Growing(growing) => growing.log.end(),
        }
    }
}

/// How many small pages a log is said to have. It need not be true: logs that grow together are not to be joined together.
fn small_at_first(log: LogId) -> u8 {
    (log.0 % u64::from(JOINED)) as u8
}

impl Growing {
    /// These make another page, or more. Returns whether it is time to join the small ones.
    fn count_small(&mut self, chunks: &[Chunk<Bytes>]) -> bool {
        let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        let is_small = bytes < SMALL_BYTES && self.places.is_empty();
        let joins = is_small && self.small + 1 >= JOINED;
        self.small = if is_small && !joins { self.small + 1 } else { 0 };
        joins
    }
}

impl Unsettled {
    /// Starts with where the pages of each log end.
    pub(super) fn over(page_ends: impl Iterator<Item = (LogId, u64)>) -> Self {
        Self {
            logs: page_ends.map(|(log, end)| (log, Known::Paged { end, small: small_at_first(log) })).collect(),
            ..Self::default()
        }
    }

    pub(super) fn end(&self, log: LogId) -> Option<u64> {
        self.logs.get(&log).map(Known::end)
    }

    /// Whether logs were dropped whose pages can be thrown away when that is settled.
    pub(super) fn has_dropped(&self) -> bool {
        !self.dropped.is_empty()
    }

    /// Where the first record is of a log that has no pages.
    pub(super) fn first(&self, log: LogId) -> Option<u64> {
        match self.logs.get(&log)? {
            Known::Growing(growing) if !growing.paged => Some(growing.log.start()),
            Known::Growing(_) | Known::Paged { .. } => None,
        }
    }

    /// How many bytes of records and keys are not settled.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.settling_bytes
    }

    /// What is known of a key: its value, or that it was taken away.
    pub(super) fn key(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.keys.get(key).or_else(|| self.settling_keys.get(key))
    }

    /// The first keys in a range of which something is known, at most so many (one at the least), and the last one of them if
    /// there may be more.
    pub(super) fn some_keys(&self, range: (Bound<Bytes>, Bound<Bytes>), count_max: usize) -> (Keys, Option<Bytes>) {
        let count = count_max.max(1);
        let some = |keys: &Keys| -> Vec<(Bytes, Option<Bytes>)> {
            keys.range(range.clone()).take(count).map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let (settling, changed) = (some(&self.settling_keys), some(&self.keys));
        let more = |found: &[(Bytes, Option<Bytes>)]| (found.len() == count).then(|| found[count - 1].0.clone());
        let until = more(&settling).into_iter().chain(more(&changed)).min();
        let mut keys: Keys = settling.into_iter().chain(changed).collect();
        if let Some(until) = &until {
            keys.retain(|key, _| key <= until);
        }
        (keys, until)
    }

    /// Reads what is in memory; `Told(None)` if no record begins at the start of the range, which is not empty.
    pub(super) fn look(&self, log: LogId, range: &Range<u64>, bytes_max: usize, one_at_least: bool) -> Look {
        let Some(known) = self.logs.get(&log) else { return Look::Told(None) };
        if range.start == known.end() {
            return Look::Told(Some(Run { chunks: Vec::new(), end: range.start }));
        }
        match known {
            Known::Paged { end, .. } if range.start < *end => Look::PagesUntil(*end),
            Known::Paged { .. } => Look::Told(None),
            Known::Growing(growing) if range.start < growing.log.start() => match growing.paged {
                true => Look::PagesUntil(growing.log.start()),
                false => Look::Told(None),
            },
            Known::Growing(growing) => Look::Told(growing.log.read(range.clone(), bytes_max, one_at_least)),
        }
    }

    /// The changes of a commit were written: from now on they are what is known.
    pub(super) fn apply_all(&mut self, changes: Vec<Change>, places: Vec<Place>) {
        let mut places = places.into_iter();
        for change in changes {
            let at = match &change {
                Change::Append { log, start, record } if record.is_large() => Some((*log, *start)),
                _ => None,
            };
            self.apply(change);
            if let Some((log, start)) = at
                && let Some(place) = places.next()
                && let Some(Known::Growing(growing)) = self.logs.get_mut(&log)
            {
                growing.places.push((start, place));
            }
        }
    }

    /// The same with one of them.
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

    /// The records of a log, which begins at `start` if there is none.
    fn growing(&mut self, log: LogId, start: u64) -> &mut Log {
        let growing = |start, paged, small| {
            let log = Log::starting_at(start);
            Known::Growing(Box::new(Growing { log, settling: 0, paged, small, places: Vec::new() }))
        };
        let known = self.logs.entry(log).or_insert_with(|| growing(start, false, small_at_first(log)));
        if let Known::Paged { end, small } = known {
            *known = growing(*end, true, *small);
        }
        let Known::Growing(growing) = known else { unreachable!("it grows now") };
        if growing.log.chunks() == growing.settling {
            self.grown.push(log);
        }
        &mut growing.log
    }

    fn forget(&mut self, log: LogId) {
        let has_pages = match self.logs.remove(&log) {
            None => false,
            Some(Known::Paged { .. }) => true,
            Some(Known::Growing(growing)) => growing.paged || growing.settling > 0,
        };
        if has_pages {
            self.dropped.insert(log);
        }
    }

    /// The records of a log up to this position are lost, as far as there are none; those behind it come later.
    pub(super) fn skip_to(&mut self, log: LogId, position: u64) {
        self.growing(log, position).skip_to(position);
    }

    /// Takes together what is not settled and is not being settled. It stays readable.
    pub(super) fn generation(&mut self) -> Generation {
        let mut logs = BTreeMap::new();
        for log in std::mem::take(&mut self.grown) {
            // Otherwise it was dropped since.
            if let Some(Known::Growing(growing)) = self.logs.get_mut(&log) {
                let chunks = growing.log.close().to_vec();
                growing.settling = chunks.len();
                let joins = growing.count_small(&chunks);
                let places = std::mem::take(&mut growing.places);
                logs.insert(log, Grown { chunks, end: growing.log.end(), joins, places });
            }
        }
        self.settling_keys = Arc::new(std::mem::take(&mut self.keys));
        self.settling_bytes = std::mem::take(&mut self.bytes);
        Generation { logs, dropped: std::mem::take(&mut self.dropped), keys: Arc::clone(&self.settling_keys) }
    }

    /// The generation is settled: what it holds is not needed here any more.
    pub(super) fn settled(&mut self, generation: &Generation) {
        for log in generation.logs.keys() {
            // Otherwise it was dropped since.
            let Some(known) = self.logs.get_mut(log) else { continue };
            let Known::Growing(growing) = known else { continue };
            growing.log.forget(std::mem::take(&mut growing.settling));
            growing.paged = true;
            if growing.log.is_empty() {
                *known = Known::Paged { end: growing.log.end(), small: growing.small };
            }
        }
        self.settling_keys = Arc::default();
        self.settling_bytes = 0;
    }
}
