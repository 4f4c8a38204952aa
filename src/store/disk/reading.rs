//! Reading pages.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::kept::Kept;
use super::keyspaces::{Keyspaces, cause_of, page_key, page_start};
use super::page::{Page, read_page};
use super::recent::Recent;
use crate::store::batch::LogId;
use crate::store::chunk::Chunk;
use crate::store::error::Error;
use crate::store::records::Run;

const MISSING: &str = "records are missing";

/// Reads on behind `run`, up to `range.end` (where a page ends, or in it), as [`crate::store::Store::read`] does.
/// `bytes_max` bounds all of the run. Returns whether the end of the range was reached. A page that is all of the run is put
/// among the `recent` ones: who reads more than one does not mind to wait for another thread. An error leaves the run as it was.
pub(super) fn read_pages(
    settled: &Keyspaces,
    kept: &Kept,
    recent: &Recent,
    log: LogId,
    range: &Range<u64>,
    bytes_max: usize,
    run: &mut Run,
) -> Result<bool, Error> {
    let first = page_with(settled, kept, log, run.end).map_err(|cause| damaged(log, run.end, cause))?;
    let mut page = first.ok_or(Error::NoRecord { log, position: run.end })?;
    loop {
        let taken = usize::try_from(run.end - range.start).unwrap_or(usize::MAX);
        let left = bytes_max.saturating_sub(taken);
        if run.end >= page.end() {
            return Err(damaged(log, run.end, MISSING.to_owned()));
        }
        let inside = page.records(run.end, range.end, left, run.chunks.is_empty());
        let inside = inside.ok_or(Error::NoRecord { log, position: run.end })?;
        let (position, alone) = (run.end, run.chunks.is_empty());
        run.push(page.bytes.slice(inside));
        let (whole, cut) = (run.end == range.end, run.end < page.end());
        if whole || cut {
            if alone {
                recent.put(log, position, page);
            }
            return Ok(whole);
        }
        // One by one: whoever iterates stumbles over damage that is far from where the next page is.
        page = match page_from(settled, kept, log, run.end) {
            Ok(next) => next,
            // What is in front of the damage can be read.
            Err(_) if !run.chunks.is_empty() => return Ok(false),
            Err(cause) => return Err(damaged(log, run.end, cause)),
        };
    }
}

/// The same, if a single page holds all of it, or the next of its records does not fit, and that is a recent one.
pub(super) fn read_recent(
    recent: &Recent,
    log: LogId,
    range: &Range<u64>,
    bytes_max: usize,
    run: &mut Run,
) -> Option<bool> {
    let page = recent.get(log, run.end)?;
    let taken = usize::try_from(run.end - range.start).unwrap_or(usize::MAX);
    let inside = page.records(run.end, range.end, bytes_max.saturating_sub(taken), run.chunks.is_empty())?;
    run.push(page.bytes.slice(inside));
    let whole = run.end == range.end;
    (whole || run.end < page.end()).then_some(whole)
}

/// The page that holds the record at this position, or ends before it; `None` if the log has no page there. Errors: what is
/// wrong with it.
fn page_with(settled: &Keyspaces, kept: &Kept, log: LogId, position: u64) -> Result<Option<Chunk<Bytes>>, String> {
    let Some(page) = settled.pages.range(page_key(log, 0)..=page_key(log, position)).next_back() else {
        return Ok(None);
    };
    let (key, page) = without_panic(|| page.into_inner())?;
    let start = page_start(&key).ok_or_else(|| "the key of a page is too short".to_owned())?;
    page_of(kept, start, page).map(Some)
}

/// The page that begins at this position, or has taken in the one that did. Errors: what is wrong with it.
fn page_from(settled: &Keyspaces, kept: &Kept, log: LogId, position: u64) -> Result<Chunk<Bytes>, String> {
    match without_panic(|| settled.pages.get(page_key(log, position)))? {
        Some(page) => page_of(kept, position, page),
        None => {
            let page = page_with(settled, kept, log, position)?;
            page.filter(|page| page.end() > position).ok_or_else(|| MISSING.to_owned())
        }
    }
}

/// Reads a page that begins here, wherever its records are. Errors: what is wrong with it.
fn page_of(kept: &Kept, start: u64, page: fjall::UserValue) -> Result<Chunk<Bytes>, String> {
    match read_page(start, &page.into()) {
        Some(Page::Records(records)) => Ok(records),
        Some(Page::Elsewhere(place)) => {
            let bytes = kept.read(&place).map_err(|error| error.to_string())?;
            Ok(Chunk { start, bytes, ends: vec![place.bytes] })
        }
        None => Err(format!("the page at {start} cannot be understood")),
    }
}

/// Reads a value. fjall 3.1 panics where the length in front of a large value is damaged (an `assert_eq` in
/// `vlog/blob_file/reader.rs` of lsm-tree); this goes when it returns an error.
fn without_panic<T>(read: impl FnOnce() -> Result<T, fjall::Error>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|error| cause_of(&error)),
        Err(_) => Err("the database panicked while it read the page".to_owned()),
    }
}

fn damaged(log: LogId, position: u64, cause: String) -> Error {
    Error::Damaged { log, position, cause }
}
