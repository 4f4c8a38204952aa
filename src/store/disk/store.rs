//! The store itself.

use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;

use super::commit::{id_of, prepare, write};
use super::config::DiskConfig;
use super::engine::{ENDS, Engine, failed, page_key, table_key};
use super::keeper::Keeper;
use super::logs::{Logs, Look};
use super::page::page_of;
use super::plan::TailLimits;
use super::reading::{read_pages, read_recent};
use super::recent::Recent;
use super::recovery::{Recovered, recover};
use crate::store::batch::{Batch, LogId, Table};
use crate::store::error::Error;
use crate::store::records::{Gap, Pace, Run, Store};

/// Keeps everything in a folder. What a commit has written is there after a crash, as its [`DiskConfig`] promises.
pub struct DiskStore {
    // Fields are dropped in this order: the thread ends before the database closes.
    keeper: Keeper,
    engine: Arc<Engine>,
    logs: RwLock<Logs>,
    recent: Recent,
    gaps: Vec<Gap>,
    limits: TailLimits,
    /// Held while a commit runs.
    turn: Mutex<()>,
}

impl DiskStore {
    /// Opens the folder, or makes it. Blocks while it reads what is not in pages yet (64 MiB at the most), and where
    /// each log ends. Where records are missing, [`Store::gaps`] tells.
    ///
    /// Errors: [`Error::InUse`], [`Error::Open`], [`Error::Failed`].
    pub fn open(config: &DiskConfig) -> Result<Self, Error> {
        Self::open_with(config, TailLimits::USUAL)
    }

    pub(super) fn open_with(config: &DiskConfig, limits: TailLimits) -> Result<Self, Error> {
        let (engine, lost) = Engine::open(config)?;
        let engine = Arc::new(engine);
        let unreadable = |error: Error| Error::Open { dir: config.dir.clone(), cause: error.to_string() };
        let Recovered { logs, stranded, gaps, ends, .. } = recover(&engine, lost).map_err(unreadable)?;
        let bytes = stranded.iter().map(|(_, chunk)| chunk.bytes.len() as u64).sum();
        let mut batch = engine.batch();
        for (log, end) in ends {
            batch.insert(&engine.tables, table_key(ENDS, &id_of(log)), end.to_be_bytes());
        }
        for (log, chunk) in stranded {
            batch.insert(&engine.pages, page_key(log, chunk.start), page_of(None, &chunk));
        }
        engine.commit(batch, bytes)?;
        let keeper = Keeper::start(Arc::clone(&engine), config)?;
        let (logs, turn) = (RwLock::new(logs), Mutex::new(()));
        let recent = Recent::of(config.recent_bytes());
        Ok(Self { keeper, engine, logs, recent, gaps, limits, turn })
    }

    /// What is known of the room on the disk.
    #[cfg(test)]
    pub(super) fn room(&self) -> &super::room::Room {
        self.keeper.room()
    }

    /// Commits and bytes in the tail.
    #[cfg(test)]
    pub(super) fn tail(&self) -> (usize, usize) {
        let logs = self.logs();
        (logs.tail.len(), logs.tail_bytes)
    }

    /// The most that a keyspace holds in memory, without what is being written out already.
    #[cfg(test)]
    pub(super) fn unwritten_bytes(&self) -> u64 {
        use fjall::AbstractTree;
        let keyspaces = [&self.engine.tables, &self.engine.tail, &self.engine.pages];
        keyspaces.map(|keyspace| keyspace.tree.active_memtable().size()).into_iter().max().unwrap_or(0)
    }

    /// Reads what is in memory here, and what is not with `pages`, which reads on to the end of a range and tells whether it
    /// came there; `None` if it does.
    fn read_with(
        &self,
        log: LogId,
        range: Range<u64>,
        bytes_max: usize,
        pages: impl Fn(&Range<u64>, &mut Run) -> Option<Result<bool, Error>>,
    ) -> Option<Result<Run, Error>> {
        let mut run = Run { chunks: Vec::new(), end: range.start };
        while run.end < range.end {
            let taken = usize::try_from(run.end - range.start).unwrap_or(usize::MAX);
            let (left, first) = (bytes_max.saturating_sub(taken), run.chunks.is_empty());
            let look = self.logs().look(log, &(run.end..range.end), left, first);
            let until = match look {
                Look::Told(Some(more)) => {
                    more.chunks.into_iter().for_each(|bytes| run.push(bytes));
                    return Some(Ok(run));
                }
                // What follows was dropped while we read, or its first record does not fit.
                Look::Told(None) if !first => return Some(Ok(run)),
                Look::Told(None) => return Some(Err(Error::NoRecord { log, position: run.end })),
                Look::PagesUntil(until) => until.min(range.end),
            };
            match pages(&(range.start..until), &mut run)? {
                Ok(true) => {}
                Ok(false) => return Some(Ok(run)),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(run))
    }

    // What is behind the lock is whole between any two lines, so a panic elsewhere leaves it usable.
    fn logs(&self) -> RwLockReadGuard<'_, Logs> {
        self.logs.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        if let Err(error) = self.engine.sync() {
            tracing::error!(%error, "the store was closed without a last sync");
        }
    }
}

impl Store for DiskStore {
    fn pace(&self) -> Pace {
        Pace::Blocking
    }

    fn commit(&self, batch: Batch) -> Result<(), Error> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut prepared = prepare(&self.engine, &self.logs(), &self.limits, &batch)?;
        self.keeper.room().spend(prepared.bytes());
        write(&self.engine, &mut prepared)?;
        self.logs.write().unwrap_or_else(PoisonError::into_inner).apply(prepared.plan);
        Ok(())
    }

    fn check_room(&self, coming_bytes: u64) -> Result<(), Error> {
        self.keeper.room().check(coming_bytes)
    }

    fn read(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Result<Run, Error> {
        let pages = |pages: &Range<u64>, run: &mut Run| {
            Some(read_pages(&self.engine, &self.recent, log, pages, bytes_max, run))
        };
        self.read_with(log, range, bytes_max, pages).expect("whoever may wait for the disk is told")
    }

    fn read_now(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Option<Result<Run, Error>> {
        let pages = |pages: &Range<u64>, run: &mut Run| read_recent(&self.recent, log, pages, bytes_max, run).map(Ok);
        self.read_with(log, range, bytes_max, pages)
    }

    fn end(&self, log: LogId) -> Result<Option<u64>, Error> {
        Ok(self.logs().end(log))
    }

    fn gaps(&self) -> Vec<Gap> {
        self.gaps.clone()
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let found = self.engine.tables.get(table_key(table, key)).map_err(failed)?;
        Ok(found.map(Bytes::from))
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, count_max: usize) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let prefix = table_key(table, &[]);
        let from = match after {
            Some(after) => Bound::Excluded(table_key(table, after)),
            None => Bound::Included(prefix.clone()),
        };
        let mut beyond = prefix.to_vec();
        // The name of a table ends with a zero.
        beyond.pop();
        beyond.push(1);
        let found = self.engine.tables.range::<Bytes, _>((from, Bound::Excluded(beyond.into()))).take(count_max);
        found
            .map(|found| {
                let (key, value) = found.into_inner().map_err(failed)?;
                Ok((Bytes::from(key).slice(prefix.len()..), value.into()))
            })
            .collect()
    }
}
