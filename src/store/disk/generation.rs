//! Everything that is flushed together. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::retained::RecordLocation;
use crate::store::batch::LogId;
use crate::store::chunk::Chunk;

/// Keys of tables with their values; `None` for a removed key.
pub(super) type Keys = BTreeMap<Bytes, Option<Bytes>>;

/// The contents of the memtable at one moment.
#[derive(Debug, Default)]
pub(super) struct Generation {
    /// The logs with new records.
    pub(super) logs: BTreeMap<LogId, LogGrowth>,
    /// Dropped logs whose pages are to be removed.
    pub(super) dropped: BTreeSet<LogId>,
    pub(super) keys: Arc<Keys>,
}

/// New records of one log.
#[derive(Debug, Default)]
pub(super) struct LogGrowth {
    /// The records that are in no page yet.
    pub(super) chunks: Vec<Chunk<Bytes>>,
    /// The end of the log with them.
    pub(super) end: u64,
    /// True if they are to be merged with the small pages before them.
    pub(super) merges: bool,
    /// Positions of the large records, in order, with their locations in the journal.
    pub(super) locations: Vec<(u64, RecordLocation)>,
}

impl Generation {
    /// Returns offset and length of the large records in a segment of the journal, unsorted.
    pub(super) fn large_in(&self, segment: u64) -> Vec<(u64, u64)> {
        let locations = self.logs.values().flat_map(|growth| &growth.locations).map(|(_, location)| location);
        let inside = locations.filter(|location| location.segment == segment);
        inside.map(|location| (location.offset, u64::from(location.bytes))).collect()
    }
}
