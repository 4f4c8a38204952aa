//! A cache of pages that were read recently: what many readers ask for is served without blocking.

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::store::batch::LogId;
use crate::store::chunk::Chunk;

/// Expected number of pages; memory for more is allocated when needed.
const PAGES: usize = 256;

/// Memory that a page takes besides its records: bookkeeping, and the rest of the block that a short page is a slice of.
const OVERHEAD_BYTES: u64 = 4 * 1024;

/// Pages by log and read position, as readers of the same log tend to ask at the same positions.
///
/// Entries never become stale: a page never changes (although another page may absorb it), and the number of a log is never
/// reused.
pub(super) struct PageCache(Cache<(LogId, u64), Arc<Chunk<Bytes>>, Weight>);

impl PageCache {
    /// Creates a cache of at most `bytes_max`.
    pub(super) fn with_capacity(bytes_max: u64) -> Self {
        Self(Cache::with_weighter(PAGES, bytes_max, Weight))
    }

    /// Returns the page that holds the record at this position.
    pub(super) fn get(&self, log: LogId, position: u64) -> Option<Arc<Chunk<Bytes>>> {
        self.0.get(&(log, position))
    }

    /// Adds the page that holds the record at `position`.
    pub(super) fn put(&self, log: LogId, position: u64, page: Chunk<Bytes>) {
        self.0.insert((log, position), Arc::new(page));
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<(LogId, u64), Arc<Chunk<Bytes>>> for Weight {
    fn weight(&self, _: &(LogId, u64), page: &Arc<Chunk<Bytes>>) -> u64 {
        page.bytes.len() as u64 + size_of_val(&page.ends[..]) as u64 + OVERHEAD_BYTES
    }
}
