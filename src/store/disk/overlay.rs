//! Reads through the memtable and the database behind it, for open stores and for closed ones.

use std::ops::{Bound, Range};

use bytes::Bytes;

use super::commit::keys_with;
use super::keys::table_key;
use super::keyspaces::Keyspaces;
use super::memtable::{Lookup, MemTable};
use crate::store::batch::{LogId, Table};
use crate::store::error::Error;
use crate::store::records::Run;

/// A memtable over a database.
pub(super) trait Overlay {
    /// Looks into the memtable.
    fn with_memtable<A>(&self, look: impl FnOnce(&MemTable) -> A) -> A;

    /// Looks into the database. Errors: it is not open, and those of `look`.
    fn with_database<A>(&self, look: impl FnOnce(&Keyspaces) -> Result<A, Error>) -> Result<A, Error>;
}

/// Reads from the memtable, and with `read_pages` what it does not have: that extends the run up to the end of a range and
/// returns true if it reached it. `None` if `read_pages` returns that.
pub(super) fn look_up(
    overlay: &impl Overlay,
    log: LogId,
    range: Range<u64>,
    bytes_max: usize,
    read_pages: impl Fn(&Range<u64>, &mut Run) -> Option<Result<bool, Error>>,
) -> Option<Result<Run, Error>> {
    let mut run = Run { chunks: Vec::new(), end: range.start };
    while run.end < range.end {
        let taken = usize::try_from(run.end - range.start).unwrap_or(usize::MAX);
        let (left, first) = (bytes_max.saturating_sub(taken), run.chunks.is_empty());
        let found = overlay.with_memtable(|memtable| memtable.look_up(log, &(run.end..range.end), left, first));
        let until = match found {
            Lookup::Found(Some(more)) => {
                more.chunks.into_iter().for_each(|bytes| run.push(bytes));
                return Some(Ok(run));
            }
            // The log was dropped meanwhile, or its next record does not fit.
            Lookup::Found(None) if !first => return Some(Ok(run)),
            Lookup::Found(None) => return Some(Err(Error::NoRecord { log, position: run.end })),
            Lookup::PagesUntil(until) => until.min(range.end),
        };
        match read_pages(&(range.start..until), &mut run)? {
            Ok(true) => {}
            Ok(false) => return Some(Ok(run)),
            Err(error) => return Some(Err(error)),
        }
    }
    Some(Ok(run))
}

/// Returns keys of a table with their values, as [`crate::store::Store::scan`] does.
pub(super) fn scan(
    overlay: &impl Overlay,
    table: Table,
    after: Option<&[u8]>,
    count_max: usize,
) -> Result<Vec<(Bytes, Bytes)>, Error> {
    let name = table_key(table, &[]);
    let Range { start, end } = keys_with(&name);
    let mut from = after.map_or(Bound::Included(start), |after| Bound::Excluded(table_key(table, after)));
    let mut found = Vec::new();
    loop {
        let left = count_max - found.len();
        let (changed, until) =
            overlay.with_memtable(|memtable| memtable.some_keys((from.clone(), Bound::Excluded(end.clone())), left));
        let to = until.clone().map_or(Bound::Excluded(end.clone()), Bound::Included);
        overlay.with_database(|database| database.scan((from, to), changed, left, &mut found))?;
        match until {
            Some(until) if found.len() < count_max => from = Bound::Excluded(until),
            Some(_) | None => break,
        }
    }
    Ok(found.into_iter().map(|(key, value): (Bytes, Bytes)| (key.slice(name.len()..), value)).collect())
}
