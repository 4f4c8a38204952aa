//! Flushes the memtable to the database, one generation after the other, on a thread of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use super::engine::Engine;
use super::free_space::FreeSpace;
use super::generation::Generation;
use super::journal::{Journal, SealedSegments, SpareSegment};
use super::memtable::MemTable;
use super::retained::RetainedSegments;
use crate::store::error::Error;
use crate::sync::lock;

const THREAD: &str = "store-flusher";

/// Delay after the first error; it doubles up to the maximum.
const RETRY_DELAY_MIN: Duration = Duration::from_secs(1);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(10);

/// One flush.
struct Work {
    generation: Generation,
    next_commit: u64,
    /// The segments that are not needed after the flush.
    sealed: SealedSegments,
}

/// Bounds of the journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct FlushLimits {
    /// Size at which a flush begins, unless one is running.
    pub(super) flush_at_bytes: u64,
    /// Size at which commits wait for the running flush.
    pub(super) journal_bytes_max: u64,
    /// Number of files at which a flush begins; each start adds one.
    pub(super) segments_max: usize,
}

impl FlushLimits {
    /// Enough to fill pages of several hundred busy logs, and little enough to be kept in memory and replayed in a moment.
    pub(super) const DEFAULT: Self =
        Self { flush_at_bytes: 16 * 1024 * 1024, journal_bytes_max: 64 * 1024 * 1024, segments_max: 8 };
}

/// A segment is retained if large records make up this part of it.
const LARGE_PARTS: u64 = 3;
const PARTS: u64 = 4;

/// Owner of the flusher's thread, which ends when this is dropped.
pub(super) struct Flusher {
    work: Option<SyncSender<Work>>,
    thread: Option<JoinHandle<()>>,
    progress: Arc<Progress>,
    memtable: Arc<RwLock<MemTable>>,
    engine: Arc<Engine>,
    free_space: Arc<FreeSpace>,
}

#[derive(Default)]
struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Busy,
    /// The flush has failed and is retried.
    Failing,
    Panicked,
}

impl Flusher {
    /// Starts the thread. Errors: [`Error::Thread`].
    pub(super) fn start(
        engine: Arc<Engine>,
        retained: Arc<RetainedSegments>,
        memtable: MemTable,
        free_space: Arc<FreeSpace>,
        spare: Arc<SpareSegment>,
    ) -> Result<Self, Error> {
        let progress = Arc::new(Progress::default());
        // Never more than one is sent.
        let (work, received) = sync_channel(1);
        let memtable = Arc::new(RwLock::new(memtable));
        let worker = Worker {
            engine: Arc::clone(&engine),
            retained,
            memtable: Arc::clone(&memtable),
            free_space: Arc::clone(&free_space),
            spare,
            progress: Arc::clone(&progress),
            work: received,
        };
        let thread = std::thread::Builder::new().name(THREAD.into()).spawn(move || worker.run());
        let thread = thread.map_err(|source| Error::Thread { thread: THREAD, source })?;
        Ok(Self { work: Some(work), thread: Some(thread), progress, memtable, engine, free_space })
    }

    /// Returns true if no flush is running. Errors: [`Error::ThreadPanicked`].
    pub(super) fn is_idle(&self) -> Result<bool, Error> {
        match *self.progress.state() {
            State::Idle => Ok(true),
            State::Busy | State::Failing => Ok(false),
            State::Panicked => Err(Error::ThreadPanicked { thread: THREAD }),
        }
    }

    /// Waits until the running flush has succeeded or failed.
    pub(super) fn wait(&self) {
        let busy = |state: &mut State| *state == State::Busy;
        drop(self.progress.changed.wait_while(self.progress.state(), busy).unwrap_or_else(PoisonError::into_inner));
    }

    /// Begins a flush if the journal is large, and waits for the running one if it is too large. Errors: [`Error::Journal`],
    /// [`Error::ThreadPanicked`].
    pub(super) fn flush_if_large(&self, journal: &mut Journal, limits: &FlushLimits) -> Result<(), Error> {
        if journal.bytes() < limits.flush_at_bytes && journal.segment_count() <= limits.segments_max {
            return Ok(());
        }
        if journal.bytes() >= limits.journal_bytes_max && !self.is_idle()? {
            // The thread that syncs at intervals cannot do so while this one holds the journal.
            journal.sync()?;
            self.wait();
        }
        match self.flush(journal) {
            // The journal goes on in its segment, and no content is accepted until a later flush succeeds.
            Err(error @ Error::Unavailable { .. }) => {
                self.engine.availability().note(&error);
                self.free_space.set_flush_failing(true);
                Ok(())
            }
            flushed => flushed,
        }
    }

    /// Begins a flush of everything in the journal, unless one is running. Errors: [`Error::Journal`],
    /// [`Error::ThreadPanicked`].
    pub(super) fn flush(&self, journal: &mut Journal) -> Result<(), Error> {
        if self.is_idle()? {
            let sealed = journal.rotate()?;
            let generation = self.memtable_mut().generation();
            self.begin(Work { generation, next_commit: journal.next_commit(), sealed });
        }
        Ok(())
    }

    /// Returns the memtable. It is consistent between any two statements, so a panic elsewhere leaves it usable.
    pub(super) fn memtable(&self) -> RwLockReadGuard<'_, MemTable> {
        self.memtable.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the memtable for a commit.
    pub(super) fn memtable_mut(&self) -> RwLockWriteGuard<'_, MemTable> {
        self.memtable.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, work: Work) {
        self.progress.set(State::Busy);
        let sent = self.work.as_ref().is_some_and(|to| to.send(work).is_ok());
        debug_assert!(sent, "the thread ends with its owner");
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.work = None;
        // A panic of the thread was reported when it happened.
        self.thread.take().map(JoinHandle::join);
    }
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn set(&self, state: State) {
        *self.state() = state;
        self.changed.notify_all();
    }
}

struct Worker {
    engine: Arc<Engine>,
    retained: Arc<RetainedSegments>,
    memtable: Arc<RwLock<MemTable>>,
    free_space: Arc<FreeSpace>,
    spare: Arc<SpareSegment>,
    progress: Arc<Progress>,
    work: Receiver<Work>,
}

impl Worker {
    fn run(&self) {
        while let Ok(work) = self.work.recv() {
            // Commits must not wait for ever for a thread that is gone.
            match catch_unwind(AssertUnwindSafe(|| self.flush(work))) {
                Ok(true) => self.progress.set(State::Idle),
                Ok(false) => return,
                Err(_) => {
                    self.free_space.set_flush_failing(true);
                    return self.progress.set(State::Panicked);
                }
            }
        }
    }

    /// Retries until the flush succeeds and returns true, or the store closes: then the next start replays the journal.
    fn flush(&self, mut work: Work) -> bool {
        let retained = segment_to_retain(&work);
        let (mut keys_flushed, mut delay) = (false, RETRY_DELAY_MIN);
        while let Err(error) = self.try_to_flush(&mut work, retained, &mut keys_flushed) {
            self.engine.availability().note(&error);
            if delay == RETRY_DELAY_MIN {
                tracing::error!(%error, "cannot flush the journal to the database; refusing content until a retry succeeds");
            }
            self.free_space.set_flush_failing(true);
            self.progress.set(State::Failing);
            if matches!(self.work.recv_timeout(delay), Err(RecvTimeoutError::Disconnected)) {
                return false;
            }
            delay = RETRY_DELAY_MAX.min(delay * 2);
        }
        if delay > RETRY_DELAY_MIN {
            tracing::info!("flushed the journal after earlier failures; accepting content again");
        }
        self.free_space.set_flush_failing(false);
        self.memtable.write().unwrap_or_else(PoisonError::into_inner).flushed(&work.generation);
        if let Some(segment) = retained {
            self.retained.free_around(segment, work.generation.large_in(segment));
        }
        if let Err(error) = work.sealed.recycle((!self.free_space.is_short()).then_some(&self.spare)) {
            // It is read at the next start, and then removed.
            tracing::warn!(%error, "cannot remove a flushed journal segment");
        }
        true
    }

    fn try_to_flush(&self, work: &mut Work, retained: Option<u64>, keys_flushed: &mut bool) -> Result<(), Error> {
        self.engine.reopen_if_failed()?;
        // A write that fails half-way would occupy the disk until the next try.
        if self.free_space.free_bytes() == 0 {
            return Err(Error::DiskFull { free_bytes: 0, needed_bytes: 1 });
        }
        if self.free_space.is_short() {
            work.generation.logs.values_mut().for_each(|growth| growth.merges = false);
        }
        let database = self.engine.database()?;
        if !*keys_flushed {
            database.flush_keys(&work.generation.keys)?;
            *keys_flushed = true;
        }
        if retained.is_some() {
            work.sealed.retain_newest(&self.retained)?;
        }
        database.flush_logs(&work.generation, work.next_commit, retained)
    }
}

/// Returns the newest segment if large records fill most of it.
fn segment_to_retain(work: &Work) -> Option<u64> {
    let (segment, bytes) = work.sealed.newest()?;
    let large: u64 = work.generation.large_in(segment).iter().map(|(_, bytes)| bytes).sum();
    (large > 0 && large * PARTS >= bytes * LARGE_PARTS).then_some(segment)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::store::batch::LogId;
    use crate::store::chunk::Chunk;
    use crate::store::disk::generation::LogGrowth;
    use crate::store::disk::keys::page_key;
    use crate::store::disk::testing::config;

    #[test]
    fn a_failed_flush_is_retried_and_content_is_refused_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, free_space) = (Arc::new(Engine::open(&config(dir.path())).unwrap()), Arc::new(FreeSpace::new(0)));
        let retained = Arc::new(RetainedSegments::expecting(std::iter::empty(), 1));
        let spare = Arc::new(SpareSegment::new(dir.path(), true));
        let memtable = MemTable::default();
        let flusher = Flusher::start(Arc::clone(&engine), retained, memtable, Arc::clone(&free_space), spare).unwrap();
        let mut chunk = Chunk::starting_at(0);
        chunk.push(b"record");
        let growth = LogGrowth { chunks: vec![chunk.freeze()], end: 6, ..LogGrowth::default() };
        let generation = Generation { logs: [(LogId(1), growth)].into(), ..Generation::default() };
        free_space.measured(0, 0, 0);
        flusher.begin(Work { generation, next_commit: 7, sealed: SealedSegments::default() });
        flusher.wait();
        assert!(!flusher.is_idle().unwrap());
        free_space.measured(0, 1000, 0);
        assert!(matches!(free_space.check(1), Err(Error::FlushFailing)), "it would only be in the journal");
        assert_eq!(engine.database().unwrap().next_commit().unwrap(), 0);
        let patience = Instant::now() + Duration::from_secs(60);
        while !flusher.is_idle().unwrap() {
            assert!(Instant::now() < patience, "it was not retried");
            std::thread::yield_now();
        }
        free_space.check(1).unwrap();
        assert_eq!(engine.database().unwrap().next_commit().unwrap(), 7);
        assert!(engine.database().unwrap().pages.get(page_key(LogId(1), 0)).unwrap().is_some());
    }
}
