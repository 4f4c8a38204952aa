//! Pages that were read a moment ago: what many readers ask for is given on the spot, without the disk.

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::store::batch::LogId;
use crate::store::chunk::Chunk;

/// How many pages are expected. Memory for more is taken when there are more.
const PAGES: usize = 256;

/// What a page holds besides its records, or holds in memory although it is shorter: the block it was found in.
const BESIDES_BYTES: u64 = 4 * 1024;

/// Pages by the log and the position at which somebody read: readers that come for the same ask at the same place.
///
/// What a page holds never changes, although another page may take it in, and the number of a log is never given twice: so
/// nothing here becomes wrong.
pub(super) struct Recent(Cache<(LogId, u64), Arc<Chunk<Bytes>>, Weight>);

impl Recent {
    /// Keeps at most this much.
    pub(super) fn of(bytes_max: u64) -> Self {
        Self(Cache::with_weighter(PAGES, bytes_max, Weight))
    }

    /// The page that holds the record at this position.
    pub(super) fn get(&self, log: LogId, position: u64) -> Option<Arc<Chunk<Bytes>>> {
        self.0.get(&(log, position))
    }

    /// `page` holds the record at `position`.
    pub(super) fn put(&self, log: LogId, position: u64, page: Chunk<Bytes>) {
        self.0.insert((log, position), Arc::new(page));
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<(LogId, u64), Arc<Chunk<Bytes>>> for Weight {
    fn weight(&self, _: &(LogId, u64), page: &Arc<Chunk<Bytes>>) -> u64 {
        page.bytes.len() as u64 + size_of_val(&page.ends[..]) as u64 + BESIDES_BYTES
    }
}
