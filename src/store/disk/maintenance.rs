//! Background work: measures free space, removes the pages of dropped logs, and syncs at intervals where that is the
//! durability; and answers requests for backups.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::backup::{BackupSource, answer_requests};
use super::config::{DiskConfig, Durability};
use super::engine::Engine;
use super::flusher::Flusher;
use super::free_space::FreeSpace;
use super::garbage_collector::GarbageCollector;
use super::journal::{Journal, SpareSegment, sync};
use super::keys::page_key;
use super::keyspaces::Keyspaces;
use super::page::LOCATION_BYTES_MAX;
use super::retained::{RecordLocation, RetainedSegments};
use crate::store::batch::LogId;
use crate::store::error::Error;
use crate::sync::lock;

/// Interval between two measurements of free space.
const ROUND_INTERVAL: Duration = Duration::from_millis(250);

/// Minimum time between two flushes that only serve to remove dropped logs, as each makes smaller pages.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// Delay after an error.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// Maximum number of pages, and of logs, that are removed at once.
const PAGES_PER_BATCH: usize = 4096;
const LOGS_PER_BATCH: usize = 4096;

/// Owner of the background threads, which end when this is dropped.
pub(super) struct Maintenance {
    stop: Vec<SyncSender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// The parts of a store that maintenance works on.
pub(super) struct Maintained {
    pub(super) engine: Arc<Engine>,
    pub(super) retained: Arc<RetainedSegments>,
    pub(super) journal: Arc<Mutex<Journal>>,
    pub(super) flusher: Arc<Flusher>,
    pub(super) free_space: Arc<FreeSpace>,
}

impl Maintenance {
    /// Measures the free space and starts the threads. Errors: [`Error::Thread`], [`Error::Database`].
    pub(super) fn start(parts: Maintained, backups: BackupSource, config: &DiskConfig) -> Result<Self, Error> {
        let collector = GarbageCollector::start(Arc::clone(&parts.engine), Arc::clone(&parts.free_space))?;
        let journal = Arc::clone(&parts.journal);
        let spare = Arc::clone(lock(&journal).spare());
        let rounds = Rounds { parts, spare, dir: config.dir.clone(), collector };
        rounds.measure();
        let mut maintenance = Self { stop: Vec::new(), threads: Vec::new() };
        maintenance.spawn("store-maintenance", move |stopped| rounds.run(&stopped))?;
        maintenance.spawn("store-backups", move |stopped| answer_requests(&backups, &stopped))?;
        if let Durability::Interval(interval) = config.durability {
            maintenance.spawn("store-syncer", move |stopped| sync_every(interval, &journal, &stopped))?;
        }
        Ok(maintenance)
    }

    fn spawn(&mut self, thread: &'static str, run: impl FnOnce(Receiver<()>) + Send + 'static) -> Result<(), Error> {
        let (stop, stopped) = sync_channel(1);
        let spawned = std::thread::Builder::new().name(thread.into()).spawn(move || run(stopped));
        self.stop.push(stop);
        self.threads.push(spawned.map_err(|source| Error::Thread { thread, source })?);
        Ok(())
    }
}

/// Syncs until that fails; then the next commit fails, too.
fn sync_every(interval: Duration, journal: &Mutex<Journal>, stopped: &Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(interval) {
        if let Err(error) = sync(journal) {
            tracing::error!(%error, "cannot sync the journal");
            return;
        }
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.stop.clear();
        // A panic of a thread was reported when it happened.
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

struct Rounds {
    parts: Maintained,
    spare: Arc<SpareSegment>,
    dir: PathBuf,
    collector: GarbageCollector,
}

impl Rounds {
    fn run(&self, stopped: &Receiver<()>) {
        let (mut works, mut retry_at, mut flushed_at) = (true, Instant::now(), None::<Instant>);
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(ROUND_INTERVAL) {
            self.measure();
            self.parts.engine.probe();
            if self.parts.free_space.is_flush_failing() {
                self.retry_flush();
            }
            if Instant::now() < retry_at {
                continue;
            }
            let flushed_lately = flushed_at.is_some_and(|at| at.elapsed() < FLUSH_INTERVAL);
            let may_flush = !flushed_lately || self.parts.free_space.is_short();
            let flushes = may_flush && self.parts.flusher.memtable().has_dropped();
            if flushes {
                flushed_at = Some(Instant::now());
            }
            let reopened = if works { Ok(()) } else { self.parts.engine.reopen_if_failed() };
            let outcome = reopened.and_then(|()| if flushes { self.flush() } else { Ok(()) });
            match outcome.and_then(|()| self.remove_dropped(stopped)) {
                Ok(()) => {
                    works = true;
                    self.collector.wake_if_worthwhile();
                }
                Err(error) => {
                    if std::mem::replace(&mut works, false) {
                        tracing::error!(%error, "cannot release the disk space of dropped logs; retrying");
                    }
                    retry_at = Instant::now() + RETRY_DELAY;
                }
            }
        }
    }

    /// Flushes, because the space of dropped logs is released only then, also where nobody writes any more.
    fn flush(&self) -> Result<(), Error> {
        self.parts.flusher.flush(&mut lock(&self.parts.journal))
    }

    /// Tries a flush that could not begin; one that has begun is tried again by the flusher.
    fn retry_flush(&self) {
        if let Err(error) = self.flush() {
            self.parts.engine.availability().note(&error);
        }
    }

    fn measure(&self) {
        let free_space = &self.parts.free_space;
        // In this order: what is written meanwhile counts twice rather than not at all.
        let written = free_space.written_bytes();
        let memtable = self.parts.flusher.memtable().bytes() as u64;
        match free_bytes(&self.dir) {
            Ok(free) => free_space.measured(written, free, memtable),
            Err(error) => tracing::warn!(%error, dir = %self.dir.display(), "cannot measure the free disk space"),
        }
        if free_space.is_short() {
            self.spare.remove();
        }
    }

    /// Removes the pages of dropped logs, until there are none or the store closes.
    fn remove_dropped(&self, stopped: &Receiver<()>) -> Result<(), Error> {
        let closing = || matches!(stopped.try_recv(), Err(TryRecvError::Disconnected));
        loop {
            let Some(_removal) = self.parts.engine.try_removal() else { return Ok(()) };
            let logs = self.parts.engine.database()?.dropped(LOGS_PER_BATCH)?;
            if logs.is_empty() || closing() {
                return Ok(());
            }
            self.remove_some_of(&logs)?;
        }
    }

    /// Removes some pages of these logs, in order.
    fn remove_some_of(&self, logs: &[LogId]) -> Result<(), Error> {
        let Garbage { pages, locations, done, bytes } = Garbage::of(&*self.parts.engine.database()?, logs)?;
        let left = self.left_without(&locations)?;
        // The records first, then the pages that refer to them: after a crash in between, this is done again.
        for (segment, left) in &left {
            match left {
                0 => self.remove_segment(*segment),
                _ => self.free_records(*segment, &locations),
            }
        }
        self.parts.engine.database()?.erase(&pages, &left, &done)?;
        self.collector.count_removed(bytes);
        Ok(())
    }

    /// Returns the number of bytes needed in retained segments once these records are removed.
    fn left_without(&self, locations: &[RecordLocation]) -> Result<Vec<(u64, u64)>, Error> {
        if locations.is_empty() {
            return Ok(Vec::new());
        }
        let mut left: BTreeMap<u64, u64> = self.parts.engine.database()?.retained()?.into_iter().collect();
        for location in locations {
            let bytes = u64::from(location.bytes);
            left.entry(location.segment).and_modify(|left| *left = left.saturating_sub(bytes));
        }
        let touched: BTreeSet<u64> = locations.iter().map(|location| location.segment).collect();
        Ok(left.into_iter().filter(|(segment, _)| touched.contains(segment)).collect())
    }

    /// Releases the space of those records that are in this segment.
    fn free_records(&self, segment: u64, locations: &[RecordLocation]) {
        let inside = locations.iter().filter(|location| location.segment == segment);
        let records = inside.map(|location| (location.offset, u64::from(location.bytes))).collect();
        if let Err(error) = self.parts.retained.free(segment, records) {
            // Not every file system can; then the space is released with the whole file.
            tracing::debug!(%error, segment, "cannot release the space of records in a journal segment");
        }
    }

    fn remove_segment(&self, segment: u64) {
        if let Err(error) = self.parts.retained.remove(segment) {
            // It is no longer part of the journal, and is removed at the next start.
            tracing::warn!(%error, segment, "cannot remove a journal segment");
        }
    }
}

/// Returns the free bytes of the disk that holds a directory, as available to other users than root.
fn free_bytes(dir: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(dir)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Pages of dropped logs.
#[derive(Default)]
struct Garbage {
    pages: Vec<[u8; 16]>,
    /// Locations of their records in retained segments.
    locations: Vec<RecordLocation>,
    /// Logs that have no other pages.
    done: Vec<LogId>,
    bytes: u64,
}

impl Garbage {
    fn of(database: &Keyspaces, logs: &[LogId]) -> Result<Self, Error> {
        let mut garbage = Self::default();
        for log in logs {
            let left = PAGES_PER_BATCH - garbage.pages.len();
            // Iterates twice, as an entry gives its key or its size; the page is read for neither.
            let pages = || database.pages.range(page_key(*log, 0)..=page_key(*log, u64::MAX)).take(left);
            for (page, same) in pages().zip(pages()) {
                let key = page.key().map_err(|error| database.error(error))?;
                let size = same.size().map_err(|error| database.error(error))?;
                if size <= LOCATION_BYTES_MAX {
                    garbage.locations.extend(database.location(&key)?);
                }
                garbage.pages.extend(<[u8; 16]>::try_from(&*key).ok());
                garbage.bytes += u64::from(size);
            }
            if garbage.pages.len() == PAGES_PER_BATCH {
                break;
            }
            garbage.done.push(*log);
        }
        Ok(garbage)
    }
}
