//! Validation of a batch, and its translation into journal changes.

use std::collections::{BTreeSet, HashMap};
use std::ops::{Bound, Range};

use bytes::Bytes;

use super::engine::Engine;
use super::journal::Change;
use super::keys::table_key;
use super::memtable::MemTable;
use crate::store::batch::{Batch, LogId, Write};
use crate::store::error::Error;
use crate::store::record::Record;

/// Returns the changes that a batch makes; reads the keys that it sweeps. Changes nothing itself.
/// Errors: [`Error::Empty`], [`Error::Gap`], [`Error::Database`].
pub(super) fn prepare(engine: &Engine, memtable: &MemTable, batch: Batch) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::with_capacity(batch.writes.len());
    // The ends of the logs that the batch has changed so far; `None` for a dropped one.
    let mut ends: HashMap<LogId, Option<u64>> = HashMap::new();
    for write in batch.writes {
        match write {
            Write::Append { log, start, record } => {
                let end = ends.get(&log).copied().unwrap_or_else(|| memtable.end(log));
                ends.insert(log, Some(end_after(log, end, start, &record)?));
                changes.push(Change::Append { log, start, record });
            }
            Write::Drop { log } => {
                ends.insert(log, None);
                changes.push(Change::Drop { log });
            }
            Write::Put { table, key, value } => changes.push(Change::Put { key: table_key(table, &key), value }),
            Write::Remove { table, key } => changes.push(Change::Remove { key: table_key(table, &key) }),
            Write::Sweep { table, prefix } => {
                let swept = keys_to_sweep(engine, memtable, &table_key(table, &prefix), &changes)?;
                changes.extend(swept.into_iter().map(|key| Change::Remove { key }));
            }
        }
    }
    Ok(changes)
}

/// Returns the end of a log after a record is appended.
fn end_after(log: LogId, end: Option<u64>, start: u64, record: &Record) -> Result<u64, Error> {
    if record.is_empty() {
        return Err(Error::Empty { log });
    }
    match end.filter(|end| *end != start) {
        Some(end) => Err(Error::Gap { log, end, start }),
        None => Ok(start + record.len() as u64),
    }
}

/// Returns every existing key with this prefix, and perhaps some that were removed.
fn keys_to_sweep(
    engine: &Engine,
    memtable: &MemTable,
    prefix: &Bytes,
    before: &[Change],
) -> Result<BTreeSet<Bytes>, Error> {
    let Range { start, end } = keys_with(prefix);
    let (recent, _) = memtable.some_keys((Bound::Included(start), Bound::Excluded(end)), usize::MAX);
    let mut swept: BTreeSet<Bytes> = recent.into_keys().collect();
    engine.database()?.add_keys_with(prefix, &mut swept)?;
    swept.extend(before.iter().filter_map(|change| match change {
        Change::Put { key, .. } if key.starts_with(prefix) => Some(key.clone()),
        _ => None,
    }));
    Ok(swept)
}

/// Returns the range of keys with a prefix that starts with the name of a table.
pub(super) fn keys_with(prefix: &Bytes) -> Range<Bytes> {
    let mut beyond = prefix.to_vec();
    // No name of a table begins with the highest byte, so something is left.
    while beyond.pop_if(|last| *last == u8::MAX).is_some() {}
    if let Some(last) = beyond.last_mut() {
        *last += 1;
    }
    prefix.clone()..beyond.into()
}
