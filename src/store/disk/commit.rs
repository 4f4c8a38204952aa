//! One commit: the plan for the logs and the changes of the tables, in one batch of fjall's.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::engine::{DROPPED, ENDS, Engine, failed, page_key, table_key};
use super::logs::{Known, Logs};
use super::plan::{Plan, TailLimits};
use crate::store::batch::{Batch, LogId, Write};
use crate::store::error::Error;

/// Keys of tables, each with its last value in the batch; `None` to take it away. A batch of fjall's says nothing about
/// the order of two changes of one key, so there is only one.
type Keys = BTreeMap<Bytes, Option<Bytes>>;

/// What will be written.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    keys: Keys,
}

impl Prepared {
    /// What is written, keys that come with a value included.
    pub(super) fn bytes(&self) -> u64 {
        let pages = self.plan.pages.iter().map(|(_, _, page)| page.len());
        let keys = self.keys.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len));
        let tail = self.plan.tail.as_ref().map_or(0, Bytes::len);
        (pages.chain(keys).sum::<usize>() + tail) as u64
    }
}

/// Decides what a batch writes. Reads the keys that it sweeps. Errors: [`Error::Empty`], [`Error::Gap`],
/// [`Error::Failed`]; nothing has changed.
pub(super) fn prepare(engine: &Engine, logs: &Logs, limits: &TailLimits, batch: &Batch) -> Result<Prepared, Error> {
    let (mut plan, mut keys) = (Plan::begin(logs), Keys::new());
    for write in batch.writes() {
        match write {
            Write::Append { log, start, record } => plan.append(logs, *log, *start, record)?,
            Write::Drop { log } => plan.drop_log(logs, *log),
            Write::Put { table, key, value } => drop(keys.insert(table_key(*table, key), Some(value.clone()))),
            Write::Remove { table, key } => drop(keys.insert(table_key(*table, key), None)),
            Write::Sweep { table, prefix } => sweep(engine, &table_key(*table, prefix), &mut keys)?,
        }
    }
    plan.finish(logs, limits);
    for log in &plan.dropped {
        if logs.logs.get(log).is_some_and(Known::has_pages) {
            keys.insert(table_key(ENDS, &id_of(*log)), None);
            keys.insert(table_key(DROPPED, &id_of(*log)), Some(Bytes::new()));
        }
    }
    for (log, end) in plan.page_ends() {
        keys.insert(table_key(ENDS, &id_of(log)), Some(Bytes::copy_from_slice(&end.to_be_bytes())));
    }
    Ok(Prepared { plan, keys })
}

fn sweep(engine: &Engine, prefix: &[u8], keys: &mut Keys) -> Result<(), Error> {
    for found in engine.tables.prefix(prefix) {
        keys.insert(found.key().map_err(failed)?.into(), None);
    }
    let staged = keys.range_mut(Bytes::copy_from_slice(prefix)..).take_while(|(key, _)| key.starts_with(prefix));
    staged.for_each(|(_, value)| *value = None);
    Ok(())
}

/// Writes what was decided, as durably as was promised; what is left is to [`Logs::apply`] the plan. Errors:
/// [`Error::Failed`].
pub(super) fn write(engine: &Engine, prepared: &mut Prepared) -> Result<(), Error> {
    let bytes = prepared.bytes();
    let Prepared { plan, keys } = prepared;
    let mut batch = engine.batch();
    for (log, start, page) in std::mem::take(&mut plan.pages) {
        batch.insert(&engine.pages, page_key(log, start), page);
    }
    if let Some(tail) = &plan.tail {
        batch.insert(&engine.tail, plan.commit.to_be_bytes(), tail.clone());
    }
    for commit in &plan.trimmed {
        batch.remove(&engine.tail, commit.to_be_bytes());
    }
    for (key, value) in std::mem::take(keys) {
        match value {
            Some(value) => batch.insert(&engine.tables, key, value),
            None => batch.remove(&engine.tables, key),
        }
    }
    engine.commit(batch, bytes)
}

/// A log in the key of a table.
pub(super) fn id_of(log: LogId) -> [u8; 8] {
    log.0.to_be_bytes()
}
