//! The disk store.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use super::acknowledged::Acknowledged;
use super::backup::{BackupError, BackupOutcome, BackupSource};
use super::commit::prepare;
use super::config::{DiskConfig, Durability};
use super::descriptors::{DescriptorBudget, ReadSlots};
use super::engine::Engine;
use super::flusher::{FlushLimits, Flusher};
use super::folder;
use super::free_space::FreeSpace;
use super::journal::{Journal, Replay, journal_dir};
use super::keys::table_key;
use super::keyspaces::Keyspaces;
use super::maintenance::{Maintained, Maintenance};
use super::memtable::MemTable;
use super::overlay::{Overlay, look_up, scan};
use super::page_cache::PageCache;
use super::reading::{Pages, read_cached, read_pages, record_start, start_after};
use super::recovery::{Recovered, recover};
use super::retained::RetainedSegments;
use crate::store::batch::{Batch, LogId, Table};
use crate::store::error::{Cause, Error};
use crate::store::records::{Gap, Pace, Run, Store};
use crate::store::reservation::{Reservation, Reservations};
use crate::sync::lock;

/// A store in a directory. Commits survive a crash as its [`DiskConfig`] promises.
pub struct DiskStore {
    // Fields are dropped in this order: the threads end before the database closes.
    _maintenance: Maintenance,
    backups: BackupSource,
    flusher: Arc<Flusher>,
    engine: Arc<Engine>,
    retained: Arc<RetainedSegments>,
    /// Held while a commit runs.
    journal: Arc<Mutex<Journal>>,
    acknowledged: Arc<Acknowledged>,
    page_cache: PageCache,
    free_space: Arc<FreeSpace>,
    reservations: Reservations,
    read_slots: ReadSlots,
    gaps: Vec<Gap>,
    has_lost_unknown: bool,
    limits: FlushLimits,
}

impl DiskStore {
    /// Opens or creates the directory. Blocks while it replays the journal (up to 64 MiB and one commit) and reads the end of
    /// each log. Lost records are in [`Store::gaps`].
    ///
    /// Errors: [`Error::InUse`], [`Error::Open`], [`Error::Database`], [`Error::Journal`], [`Error::Thread`].
    pub fn open(config: &DiskConfig) -> Result<Self, Error> {
        Self::open_with(config, FlushLimits::DEFAULT)
    }

    pub(super) fn open_with(config: &DiskConfig, limits: FlushLimits) -> Result<Self, Error> {
        let unusable = |source| Error::Open { dir: config.dir.clone(), source };
        let engine = Arc::new(Engine::open(config)?);
        let (next_commit, page_ends, retained) = {
            let database = engine.database()?;
            (database.next_commit()?, database.page_ends()?, database.retained()?)
        };
        let budget = DescriptorBudget::of_process();
        let segments = retained.into_iter().map(|(segment, _)| segment);
        let retained = Arc::new(RetainedSegments::expecting(segments, budget.segments_max));
        let acknowledged = Acknowledged::open(&config.dir).map_err(|error| unusable(folder::at(&config.dir, error)))?;
        let acknowledged = Arc::new(acknowledged);
        let synced = config.durability == Durability::Sync;
        let (mut journal, replay) =
            open_journal(config, next_commit, &retained, &acknowledged, synced).map_err(unusable)?;
        let Recovered { mut memtable, gaps, has_lost_unknown, .. } =
            recover(MemTable::over(page_ends.into_iter()), &replay).map_err(unusable)?;
        if replay.has_gaps {
            journal.skip_to(acknowledged.next_commit());
            flush_after_damage(&engine, &mut journal, &mut memtable)?;
        }
        drop(replay);
        let (spare, free_space) = (Arc::clone(journal.spare()), Arc::new(FreeSpace::new(config.free_bytes_min)));
        let journal = Arc::new(Mutex::new(journal));
        let (spaces, segments) = (Arc::clone(&free_space), Arc::clone(&retained));
        let flusher = Arc::new(Flusher::start(Arc::clone(&engine), segments, memtable, spaces, spare)?);
        let backups = BackupSource {
            dir: config.dir.clone(),
            engine: Arc::clone(&engine),
            flusher: Arc::clone(&flusher),
            journal: Arc::clone(&journal),
            retained: Arc::clone(&retained),
            acknowledged: Arc::clone(&acknowledged),
            free_bytes_min: config.free_bytes_min,
        };
        let maintained = Maintained {
            engine: Arc::clone(&engine),
            retained: Arc::clone(&retained),
            journal: Arc::clone(&journal),
            flusher: Arc::clone(&flusher),
            free_space: Arc::clone(&free_space),
        };
        Ok(Self {
            _maintenance: Maintenance::start(maintained, backups.clone(), config)?,
            flusher,
            engine,
            retained,
            journal,
            acknowledged,
            page_cache: PageCache::with_capacity(config.page_cache_bytes()),
            free_space,
            reservations: Reservations::default(),
            read_slots: ReadSlots::new(budget.reads_max),
            backups,
            gaps,
            has_lost_unknown,
            limits,
        })
    }

    /// Copies the store to a folder that is new or empty, while it is written to. The copy opens as a store and holds every
    /// commit that had returned before this was called. Blocks until the copy is on the disk; an interrupted one never opens.
    pub fn backup(&self, target: &Path) -> Result<BackupOutcome, BackupError> {
        self.backups.copy_to(target, &mut |_, _| Ok(()))
    }

    #[cfg(test)]
    pub(super) fn source(&self) -> &BackupSource {
        &self.backups
    }

    #[cfg(test)]
    pub(super) fn free_space(&self) -> &FreeSpace {
        &self.free_space
    }

    /// Returns the number of files of the journal, and its size.
    #[cfg(test)]
    pub(super) fn journal_size(&self) -> (usize, u64) {
        let journal = self.journal();
        (journal.segment_count(), journal.bytes())
    }

    /// Returns the number of pages of a log.
    #[cfg(test)]
    pub(super) fn page_count(&self, log: LogId) -> usize {
        use super::keys::page_key;
        let keys = page_key(log, 0)..=page_key(log, u64::MAX);
        self.engine.database().unwrap().pages.range(keys).count()
    }

    /// Waits for the running flush.
    #[cfg(test)]
    pub(super) fn wait_until_flushed(&self) {
        self.flusher.wait();
    }

    /// Flushes everything.
    #[cfg(test)]
    pub(super) fn flush_now(&self) {
        self.flusher.wait();
        self.flusher.flush(&mut self.journal()).unwrap();
        self.flusher.wait();
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }
}

/// Opens the journal, and decides what is missing in it.
fn open_journal(
    config: &DiskConfig,
    next_commit: u64,
    retained: &RetainedSegments,
    acknowledged: &Acknowledged,
    synced: bool,
) -> Result<(Journal, Replay), Cause> {
    let (journal, mut replay) = Journal::open(&journal_dir(&config.dir), next_commit, retained, synced)?;
    replay.expect_until(acknowledged.next_commit());
    if let Some(fault) = acknowledged.fault() {
        let file = Acknowledged::path(&config.dir);
        tracing::warn!(
            file = %file.display(),
            "the file {fault}, which has the number of the last answered append: if the end of the journal is lost, too, this \
             start cannot know it; compare with a backup"
        );
        acknowledged.renew(replay.next_commit).map_err(|source| folder::at(&file, source))?;
    }
    Journal::erase_torn(&replay.torn)?;
    Ok((journal, replay))
}

/// Flushes what is left after damage before anything else is written, so that what is missing stays missing.
fn flush_after_damage(engine: &Engine, journal: &mut Journal, memtable: &mut MemTable) -> Result<(), Error> {
    let sealed = journal.rotate()?;
    let generation = memtable.generation();
    engine.database()?.flush(&generation, journal.next_commit(), None)?;
    memtable.flushed(&generation);
    sealed.quarantine().map_err(|source| journal.error(source))
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        if let Err(error) = super::journal::sync(&self.journal) {
            tracing::error!(%error, "cannot sync the journal of a store that closes");
        }
    }
}

impl Store for DiskStore {
    fn pace(&self) -> Pace {
        Pace::Blocking
    }

    fn commit(&self, batch: Batch) -> Result<(), Error> {
        let mut journal = self.journal();
        self.flusher.flush_if_large(&mut journal, &self.limits)?;
        let changes = prepare(&self.engine, &self.flusher.memtable(), batch)?;
        let bytes = journal.prepare(&changes);
        self.free_space.count_commit(bytes);
        let locations = journal.commit()?;
        self.acknowledged.advance(journal.next_commit()).map_err(|source| journal.error(source))?;
        self.flusher.memtable_mut().apply_all(changes, locations);
        Ok(())
    }

    fn reserve(&self, bytes: u64) -> Result<Reservation, Error> {
        self.reservations.reserve(bytes, |reserved| match self.free_space.check(reserved) {
            // With the reason, if that is known.
            Err(Error::FlushFailing) => self.engine.availability().check().and(Err(Error::FlushFailing)),
            checked => checked,
        })
    }

    fn readiness(&self) -> Result<(), Error> {
        self.engine.availability().check()?;
        match self.free_space.is_flush_failing() {
            true => Err(Error::FlushFailing),
            false => Ok(()),
        }
    }

    fn read(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Result<Run, Error> {
        let read_pages = |range: &Range<u64>, run: &mut Run| {
            let _slot = self.read_slots.take();
            Some(self.engine.database().and_then(|database| {
                let pages = Pages { database: &database, retained: &self.retained, cache: &self.page_cache };
                read_pages(&pages, log, range, bytes_max, run)
            }))
        };
        let position = range.start;
        let read = look_up(self, log, range, bytes_max, read_pages).expect("reading pages always gives a result");
        if let Err(error) = &read {
            self.engine.availability().note(error);
        }
        match read {
            // The pages of a log that is dropped may disappear while they are read.
            Err(Error::Damaged { .. }) if self.flusher.memtable().end(log).is_none() => {
                Err(Error::NoRecord { log, position })
            }
            read => read,
        }
    }

    fn read_now(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Option<Result<Run, Error>> {
        let read_pages =
            |range: &Range<u64>, run: &mut Run| read_cached(&self.page_cache, log, range, bytes_max, run).map(Ok);
        look_up(self, log, range, bytes_max, read_pages)
    }

    fn end(&self, log: LogId) -> Result<Option<u64>, Error> {
        Ok(self.flusher.memtable().end(log))
    }

    fn gaps(&self) -> Vec<Gap> {
        self.gaps.clone()
    }

    fn has_lost_unknown(&self) -> bool {
        self.has_lost_unknown
    }

    fn record_start(&self, log: LogId, position: u64) -> Result<u64, Error> {
        // The memtable first: a record that is flushed meanwhile is found in both.
        if let Some(start) = self.flusher.memtable().record_start(log, position) {
            return Ok(start);
        }
        let _slot = self.read_slots.take();
        let database = self.engine.database()?;
        let pages = Pages { database: &database, retained: &self.retained, cache: &self.page_cache };
        record_start(&pages, log, position).inspect_err(|error| self.engine.availability().note(error))
    }

    fn start_after(&self, log: LogId, position: u64) -> Result<Option<u64>, Error> {
        // The memtable first: what is flushed meanwhile is found in both.
        let growing = self.flusher.memtable().start_after(log, position);
        let _slot = self.read_slots.take();
        let database = self.engine.database()?;
        let pages = Pages { database: &database, retained: &self.retained, cache: &self.page_cache };
        Ok(start_after(&pages, log, position)?.into_iter().chain(growing).min())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let key = table_key(table, key);
        // The memtable first: a key that is flushed meanwhile is found in both.
        if let Some(changed) = self.flusher.memtable().key(&key) {
            return Ok(changed.clone());
        }
        self.engine.database()?.get(&key)
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, count_max: usize) -> Result<Vec<(Bytes, Bytes)>, Error> {
        scan(self, table, after, count_max)
    }
}

impl Overlay for DiskStore {
    fn with_memtable<A>(&self, look: impl FnOnce(&MemTable) -> A) -> A {
        look(&self.flusher.memtable())
    }

    fn with_database<A>(&self, look: impl FnOnce(&Keyspaces) -> Result<A, Error>) -> Result<A, Error> {
        look(&*self.engine.database()?)
    }
}
