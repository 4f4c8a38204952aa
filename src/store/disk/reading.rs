//! Reads of pages.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::keys::{page_key, page_start};
use super::keyspaces::Keyspaces;
use super::page::{Page, parse_page};
use super::page_cache::PageCache;
use super::retained::RetainedSegments;
use crate::store::batch::LogId;
use crate::store::chunk::Chunk;
use crate::store::error::{Cause, Error};
use crate::store::records::Run;

/// The sources of pages.
pub(super) struct Pages<'a> {
    pub(super) database: &'a Keyspaces,
    pub(super) retained: &'a RetainedSegments,
    pub(super) cache: &'a PageCache,
}

/// Extends `run` up to `range.end` (in or at the end of a page), as [`crate::store::Store::read`] does; `bytes_max` bounds the
/// whole run. Returns true if the end of the range was reached. A page that makes up the whole run is cached: readers of more
/// than one page can afford to wait for another thread. After an error the run is unchanged.
pub(super) fn read_pages(
    pages: &Pages<'_>,
    log: LogId,
    range: &Range<u64>,
    bytes_max: usize,
    run: &mut Run,
) -> Result<bool, Error> {
    let failed = |position, source| Error::reading(log, position, source);
    let first = pages.holding(log, run.end).map_err(|source| failed(run.end, source))?;
    let mut page = first.ok_or(Error::NoRecord { log, position: run.end })?;
    loop {
        let taken = usize::try_from(run.end - range.start).unwrap_or(usize::MAX);
        let left = bytes_max.saturating_sub(taken);
        if run.end >= page.end() {
            return Err(failed(run.end, Cause::RecordsMissing));
        }
        let inside = page.records(run.end, range.end, left, run.chunks.is_empty());
        let inside = inside.ok_or(Error::NoRecord { log, position: run.end })?;
        let (position, alone) = (run.end, run.chunks.is_empty());
        run.push(page.bytes.slice(inside));
        let (whole, cut) = (run.end == range.end, run.end < page.end());
        if whole || cut {
            if alone {
                pages.cache.put(log, position, page);
            }
            return Ok(whole);
        }
        // One by one: an iterator would fail at damage that is far from the next page.
        page = match pages.following(log, run.end) {
            Ok(next) => next,
            // The records before the damage can be read.
            Err(_) if !run.chunks.is_empty() => return Ok(false),
            Err(source) => return Err(failed(run.end, source)),
        };
    }
}

/// Does the same with a cached page; `None` unless that page holds the rest of the range, or a record that does not fit.
pub(super) fn read_cached(
    cache: &PageCache,
    log: LogId,
    range: &Range<u64>,
    bytes_max: usize,
    run: &mut Run,
) -> Option<bool> {
    let page = cache.get(log, run.end)?;
    let taken = usize::try_from(run.end - range.start).unwrap_or(usize::MAX);
    let inside = page.records(run.end, range.end, bytes_max.saturating_sub(taken), run.chunks.is_empty())?;
    run.push(page.bytes.slice(inside));
    let whole = run.end == range.end;
    (whole || run.end < page.end()).then_some(whole)
}

/// Returns the start of the record in a page that holds the byte at `position`.
pub(super) fn record_start(pages: &Pages<'_>, log: LogId, position: u64) -> Result<u64, Error> {
    let page = pages.holding(log, position).map_err(|source| Error::reading(log, position, source))?;
    page.and_then(|page| page.record_start(position)).ok_or(Error::NoRecord { log, position })
}

/// Returns the start of the first page after a position; `None` if no page follows.
pub(super) fn start_after(pages: &Pages<'_>, log: LogId, position: u64) -> Result<Option<u64>, Error> {
    let after = page_key(log, position.saturating_add(1))..=page_key(log, u64::MAX);
    let Some(page) = pages.database.pages.range(after).next() else { return Ok(None) };
    let key = without_panic(|| page.key()).map_err(|source| Error::reading(log, position, source))?;
    Ok(page_start(&key))
}

impl Pages<'_> {
    /// Returns the page that holds the record at this position, or ends before it; `None` if the log has no page there.
    fn holding(&self, log: LogId, position: u64) -> Result<Option<Chunk<Bytes>>, Cause> {
        let Some(page) = self.database.pages.range(page_key(log, 0)..=page_key(log, position)).next_back() else {
            return Ok(None);
        };
        let (key, page) = without_panic(|| page.into_inner())?;
        let start = page_start(&key).ok_or(Cause::Malformed("the key of a page"))?;
        self.records_of(start, page).map(Some)
    }

    /// Returns the page that begins at this position, or the page that absorbed it.
    fn following(&self, log: LogId, position: u64) -> Result<Chunk<Bytes>, Cause> {
        match without_panic(|| self.database.pages.get(page_key(log, position)))? {
            Some(page) => self.records_of(position, page),
            None => {
                let page = self.holding(log, position)?;
                page.filter(|page| page.end() > position).ok_or(Cause::RecordsMissing)
            }
        }
    }

    /// Returns the records of a page that begins at `start`, which may be in the journal.
    fn records_of(&self, start: u64, page: fjall::UserValue) -> Result<Chunk<Bytes>, Cause> {
        match parse_page(start, &page.into()) {
            Some(Page::Records(records)) => Ok(records),
            Some(Page::InJournal(location)) => {
                let bytes = self.retained.read(&location)?;
                Ok(Chunk { start, bytes, ends: vec![location.bytes] })
            }
            None => Err(Cause::Malformed("a page")),
        }
    }
}

/// Reads a value. Builds with debug assertions panic if the length in front of a large value is damaged
/// (`vlog/blob_file/reader.rs` of lsm-tree 3.1); this goes when it returns an error.
fn without_panic<T>(read: impl FnOnce() -> Result<T, fjall::Error>) -> Result<T, Cause> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|_| Cause::Panicked)?.map_err(Cause::from)
}
