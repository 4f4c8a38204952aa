//! What a batch changes, checked, and as the journal and the tables have it.

use std::collections::{BTreeSet, HashMap};
use std::ops::{Bound, Range};

use bytes::Bytes;

use super::engine::Engine;
use super::journal::Change;
use super::keyspaces::{failed, table_key};
use super::unsettled::Unsettled;
use crate::store::batch::{Batch, LogId, Write};
use crate::store::error::Error;
use crate::store::record::Record;

/// Decides what a batch writes. Reads the keys that it sweeps. Errors: [`Error::Empty`], [`Error::Gap`],
/// [`Error::Failed`]; nothing has changed.
pub(super) fn prepare(engine: &Engine, unsettled: &Unsettled, batch: Batch) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::with_capacity(batch.writes.len());
    // Where the logs end of which the batch has something, or that they are gone.
    let mut ends: HashMap<LogId, Option<u64>> = HashMap::new();
    for write in batch.writes {
        match write {
            Write::Append { log, start, record } => {
                let end = ends.get(&log).copied().unwrap_or_else(|| unsettled.end(log));
                ends.insert(log, Some(appended(log, end, start, &record)?));
                changes.push(Change::Append { log, start, record });
            }
            Write::Drop { log } => {
                ends.insert(log, None);
                changes.push(Change::Drop { log });
            }
            Write::Put { table, key, value } => changes.push(Change::Put { key: table_key(table, &key), value }),
            Write::Remove { table, key } => changes.push(Change::Remove { key: table_key(table, &key) }),
            Write::Sweep { table, prefix } => {
                let swept = sweep(engine, unsettled, &table_key(table, &prefix), &changes)?;
                changes.extend(swept.into_iter().map(|key| Change::Remove { key }));
            }
        }
    }
    Ok(changes)
}

/// Where a log ends with this record.
fn appended(log: LogId, end: Option<u64>, start: u64, record: &Record) -> Result<u64, Error> {
    if record.is_empty() {
        return Err(Error::Empty { log });
    }
    match end.filter(|end| *end != start) {
        Some(end) => Err(Error::Gap { log, end, start }),
        None => Ok(start + record.len() as u64),
    }
}

/// Every key that begins with this, or may.
fn sweep(engine: &Engine, unsettled: &Unsettled, prefix: &Bytes, before: &[Change]) -> Result<BTreeSet<Bytes>, Error> {
    let mut swept: BTreeSet<Bytes> = {
        let Range { start, end } = keys_with(prefix);
        unsettled.some_keys((Bound::Included(start), Bound::Excluded(end)), usize::MAX).0.into_keys().collect()
    };
    for found in engine.database()?.tables.prefix(prefix) {
        swept.insert(found.key().map_err(failed)?.into());
    }
    swept.extend(before.iter().filter_map(|change| match change {
        Change::Put { key, .. } if key.starts_with(prefix) => Some(key.clone()),
        _ => None,
    }));
    Ok(swept)
}

/// The keys that begin with this, which does so with the name of a table.
pub(super) fn keys_with(prefix: &Bytes) -> Range<Bytes> {
    let mut beyond = prefix.to_vec();
    // No name of a table begins with the highest byte.
    while beyond.pop_if(|last| *last == u8::MAX).is_some() {}
    if let Some(last) = beyond.last_mut() {
        *last += 1;
    }
    prefix.clone()..beyond.into()
}
