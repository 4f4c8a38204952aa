//! The store in memory.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, Range};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::batch::{Batch, LogId, Table, Write};
use super::error::Error;
use super::log::Log;
use super::records::{Pace, Run, Store};

/// A store in memory. Nothing survives the process, and nothing blocks.
#[derive(Debug, Default)]
pub struct MemoryStore {
    content: RwLock<Content>,
}

#[derive(Debug, Default)]
struct Content {
    logs: HashMap<LogId, Log>,
    tables: BTreeMap<Table, BTreeMap<Bytes, Bytes>>,
}

impl MemoryStore {
    // A panic while the lock was held was reported as a bug; the content is still the best there is.
    fn reading(&self) -> RwLockReadGuard<'_, Content> {
        self.content.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> RwLockWriteGuard<'_, Content> {
        self.content.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn pace(&self) -> Pace {
        Pace::Immediate
    }

    fn commit(&self, batch: Batch) -> Result<(), Error> {
        let mut content = self.writing();
        content.check(&batch)?;
        batch.writes.into_iter().for_each(|write| content.write(write));
        Ok(())
    }

    fn read(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Result<Run, Error> {
        if range.is_empty() {
            return Ok(Run { chunks: Vec::new(), end: range.start });
        }
        let position = range.start;
        let content = self.reading();
        let run = content.logs.get(&log).and_then(|records| records.read(range, bytes_max, true));
        run.ok_or(Error::NoRecord { log, position })
    }

    fn read_now(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Option<Result<Run, Error>> {
        Some(self.read(log, range, bytes_max))
    }

    fn end(&self, log: LogId) -> Result<Option<u64>, Error> {
        Ok(self.reading().logs.get(&log).map(Log::end))
    }

    fn record_start(&self, log: LogId, position: u64) -> Result<u64, Error> {
        let start = self.reading().logs.get(&log).and_then(|records| records.record_start(position));
        start.ok_or(Error::NoRecord { log, position })
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.reading().tables.get(&table).and_then(|keys| keys.get(key)).cloned())
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, count_max: usize) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let content = self.reading();
        let Some(keys) = content.tables.get(&table) else { return Ok(Vec::new()) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let found = keys.range::<[u8], _>((from, Bound::Unbounded)).take(count_max);
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

impl Content {
    /// Checks that every record of the batch begins at the end of its log. Errors: [`Error::Empty`], [`Error::Gap`].
    fn check(&self, batch: &Batch) -> Result<(), Error> {
        let mut ends: HashMap<LogId, Option<u64>> = HashMap::new();
        for write in &batch.writes {
            match write {
                Write::Append { log, start, record } => {
                    if record.is_empty() {
                        return Err(Error::Empty { log: *log });
                    }
                    let end = ends.entry(*log).or_insert_with(|| self.logs.get(log).map(Log::end));
                    if let Some(end) = end.filter(|end| end != start) {
                        return Err(Error::Gap { log: *log, end, start: *start });
                    }
                    *end = Some(start + record.len() as u64);
                }
                Write::Drop { log } => drop(ends.insert(*log, None)),
                Write::Put { .. } | Write::Sweep { .. } | Write::Remove { .. } => {}
            }
        }
        Ok(())
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Append { log, start, record } => {
                self.logs.entry(log).or_insert_with(|| Log::starting_at(start)).append(&record);
            }
            Write::Drop { log } => drop(self.logs.remove(&log)),
            Write::Put { table, key, value } => drop(self.tables.entry(table).or_default().insert(key, value)),
            Write::Remove { table, key } => drop(self.tables.entry(table).or_default().remove(&key)),
            Write::Sweep { table, prefix } => {
                let keys = self.tables.entry(table).or_default();
                let swept = keys.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
                let swept: Vec<Bytes> = swept.map(|(key, _)| key.clone()).collect();
                swept.iter().for_each(|key| drop(keys.remove(key)));
            }
        }
    }
}
