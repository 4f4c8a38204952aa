//! Releases the disk space of removed pages.
//!
//! fjall drops removed values only when it compacts, which it does not do while nothing is written. So this compacts the pages,
//! on a thread of its own:
//!
//! - when a worthwhile part of them was removed, or space is short and something can be gained; afterwards it pauses at least
//!   [`PAUSE_FACTOR`] times as long as it worked;
//! - when there are many small files, which are merged then;
//! - beside commits and flushes;
//! - only if there is space for the copies that a compaction makes of what is left in a file;
//! - again later after an error, which is logged once: a failed compaction loses nothing.
//!
//! When the store closes, the thread ends after its current compaction.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fjall::{AbstractTree, Keyspace};

use super::blob_merging::{is_scattered, keys_to_rewrite};
use super::engine::Engine;
use super::free_space::FreeSpace;
use crate::store::batch::LogId;
use crate::store::error::Error;

const THREAD: &str = "store-garbage";

/// Removed bytes below which a compaction is not worthwhile, unless space is short.
const WORTHWHILE_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// The removed bytes must also be this part of all pages.
const WORTHWHILE_PART: u64 = 8;

/// fjall copies what is left of a blob file once a fourth of its values was removed; this part of the file is a cautious
/// estimate of that.
const COPIED_PART: u64 = 5;

/// Pause after a collection, as a multiple of the time that it took.
const PAUSE_FACTOR: u32 = 4;

/// Minimum pause.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// Delay after an error.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// Owner of the collector's thread, which ends when this is dropped.
pub(super) struct GarbageCollector {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    engine: Arc<Engine>,
    free_space: Arc<FreeSpace>,
    removed_bytes: Arc<AtomicU64>,
}

impl GarbageCollector {
    /// Starts the thread. Errors: [`Error::Database`], [`Error::Thread`].
    pub(super) fn start(engine: Arc<Engine>, free_space: Arc<FreeSpace>) -> Result<Self, Error> {
        // What an earlier process removed is unknown, so assume that it was something.
        let removed_bytes = engine.database()?.pages.fragmented_blob_bytes().max(1);
        let removed_bytes = Arc::new(AtomicU64::new(removed_bytes));
        let (wake, woken) = sync_channel(1);
        let worker = Worker {
            engine: Arc::clone(&engine),
            free_space: Arc::clone(&free_space),
            removed_bytes: Arc::clone(&removed_bytes),
            woken,
        };
        let thread = std::thread::Builder::new().name(THREAD.into()).spawn(move || worker.run());
        let thread = thread.map_err(|source| Error::Thread { thread: THREAD, source })?;
        Ok(Self { wake: Some(wake), thread: Some(thread), engine, free_space, removed_bytes })
    }

    /// Counts bytes of removed pages.
    pub(super) fn count_removed(&self, bytes: u64) {
        self.removed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Wakes the thread if there is something to gain. Does not block.
    pub(super) fn wake_if_worthwhile(&self) {
        let removed = self.removed_bytes.load(Ordering::Relaxed);
        let page_bytes = || self.engine.database().map_or(u64::MAX, |database| database.pages.disk_space());
        let worthwhile = || removed >= WORTHWHILE_BYTES_MIN && removed >= page_bytes() / WORTHWHILE_PART;
        let scattered = || self.engine.database().is_ok_and(|database| is_scattered(&database.pages));
        let pressing = || self.free_space.is_short() && removed > 0;
        if pressing() || worthwhile() || scattered() {
            // A full channel means that it is about to look.
            self.wake.as_ref().map(|wake| wake.try_send(()));
        }
    }
}

impl Drop for GarbageCollector {
    fn drop(&mut self) {
        self.wake = None;
        // A panic of the thread was reported when it happened.
        self.thread.take().map(JoinHandle::join);
    }
}

struct Worker {
    engine: Arc<Engine>,
    free_space: Arc<FreeSpace>,
    removed_bytes: Arc<AtomicU64>,
    woken: Receiver<()>,
}

/// The treatment of small blob files by a compaction.
#[derive(Debug, Clone, Copy)]
enum SmallFiles {
    Merged,
    Kept,
}

/// The end of a collection before it is complete.
#[derive(Debug)]
enum Stop {
    Closing,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Worker {
    fn run(&self) {
        let mut works = true;
        while self.woken.recv().is_ok() {
            let (begun, removed) = (Instant::now(), self.removed_bytes.load(Ordering::Relaxed));
            let outcome = self.collect();
            let took = begun.elapsed();
            match &outcome {
                Ok(()) => {
                    self.removed_bytes.fetch_sub(removed, Ordering::Relaxed);
                    tracing::debug!(removed, ?took, "released the disk space of removed pages");
                }
                Err(Stop::Failed(error)) if works => {
                    tracing::error!(%error, "cannot release the disk space of removed pages; retrying");
                }
                Err(Stop::Failed(_)) => {}
                Err(Stop::Closing) => return,
            }
            works = outcome.is_ok();
            let pause = if works { PAUSE_MIN.max(took * PAUSE_FACTOR) } else { RETRY_DELAY };
            if self.pause(pause).is_err() {
                return;
            }
        }
    }

    /// Errors: [`Error::DiskFull`], [`Error::Database`].
    fn collect(&self) -> Result<(), Stop> {
        // The first compaction counts what was removed, the second one copies what is left, the third one drops the originals.
        for pass in 0..3 {
            self.engine.reopen_if_failed()?;
            self.advance_visibility()?;
            self.compact(if pass == 0 { SmallFiles::Merged } else { SmallFiles::Kept })?;
            self.pause(Duration::ZERO)?;
        }
        Ok(())
    }

    fn compact(&self, small_files: SmallFiles) -> Result<(), Stop> {
        // Threads that would open the database anew do not wait for this.
        let _pinned = self.engine.pin();
        let (pages, rewritten) = {
            let database = self.engine.database()?;
            (database.pages.clone(), database.rewritten().clone())
        };
        let (keys, bytes) = match small_files {
            SmallFiles::Merged => keys_to_rewrite(&pages)
                .map_err(|error| self.engine.database().map_or_else(|e| e, |d| d.error(error)))?,
            SmallFiles::Kept => (HashSet::new(), 0),
        };
        self.check_space_to_copy(bytes_to_copy(&pages).saturating_add(bytes))?;
        if let Err(error) = rewritten.during(keys, || pages.major_compact()) {
            let database = self.engine.database()?;
            database.note_failure();
            return Err(database.error(error).into());
        }
        Ok(())
    }

    /// Writes a removal. fjall keeps removed values and replaced files as long as a reader may see them, and notices that none
    /// does when something newer is written.
    fn advance_visibility(&self) -> Result<(), Stop> {
        Ok(self.engine.database()?.erase(&[], &[], &[LogId(u64::MAX)])?)
    }

    /// Checks that copying takes at most half of the free space, as others write meanwhile.
    fn check_space_to_copy(&self, bytes: u64) -> Result<(), Stop> {
        let (free_bytes, needed_bytes) = (self.free_space.free_bytes(), bytes.saturating_mul(2));
        if free_bytes < needed_bytes {
            return Err(Stop::Failed(Error::DiskFull { free_bytes, needed_bytes }));
        }
        Ok(())
    }

    /// Waits, ignoring wake-ups, unless the store closes.
    fn pause(&self, time: Duration) -> Result<(), Stop> {
        let until = Instant::now() + time;
        loop {
            match self.woken.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(Stop::Closing),
            }
        }
    }
}

/// Returns the number of bytes that a compaction copies: what is left in the blob files of which enough was removed.
fn bytes_to_copy(pages: &Keyspace) -> u64 {
    let version = pages.tree.current_version();
    let mut one = version.gc_stats().clone();
    let left = version.blob_files.iter().filter_map(|file| {
        let removed = *version.gc_stats().get(&file.id())?;
        // Only a whole map can be asked for its bytes, so this is one with a single entry.
        one.clear();
        one.insert(file.id(), removed);
        let file_bytes = std::fs::metadata(file.path()).map_or(0, |file| file.len());
        let copied = one.stale_bytes() >= file_bytes / COPIED_PART;
        copied.then(|| file_bytes.saturating_sub(one.stale_bytes()))
    });
    left.sum()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::store::chunk::Chunk;
    use crate::store::disk::generation::{Generation, LogGrowth};
    use crate::store::disk::keys::page_key;
    use crate::store::disk::testing::{config, disk_usage};

    const LOGS: u64 = 16;
    const PAGES: u64 = 6;
    const PAGE: usize = 1_000_000;

    fn worker(dir: &Path) -> (Worker, SyncSender<()>) {
        let engine = Arc::new(Engine::open(&config(dir)).unwrap());
        let (wake, woken) = sync_channel(1);
        let (free_space, removed_bytes) = (Arc::new(FreeSpace::new(0)), Arc::new(AtomicU64::new(0)));
        (Worker { engine, free_space, removed_bytes, woken }, wake)
    }

    /// Writes pages of all logs in turns, so that every file holds some of each.
    fn fill(worker: &Worker) {
        for page in 0..PAGES {
            let mut generation = Generation::default();
            for log in 0..LOGS {
                let mut chunk = Chunk::starting_at(page * PAGE as u64);
                chunk.push(&vec![log as u8; PAGE]);
                let end = chunk.end();
                let grown = LogGrowth { chunks: vec![chunk.freeze()], end, ..LogGrowth::default() };
                generation.logs.insert(LogId(log), grown);
            }
            worker.engine.database().unwrap().flush(&generation, page, None).unwrap();
        }
    }

    fn remove(worker: &Worker, logs: std::ops::Range<u64>) {
        let pages = |log| (0..PAGES).map(move |page| page_key(LogId(log), page * PAGE as u64));
        let done: Vec<LogId> = logs.clone().map(LogId).collect();
        worker.engine.database().unwrap().erase(&logs.flat_map(pages).collect::<Vec<_>>(), &[], &done).unwrap();
    }

    #[test]
    fn the_space_of_removed_logs_is_released_without_further_writes() {
        let dir = tempfile::tempdir().unwrap();
        let (worker, _wake) = worker(dir.path());
        fill(&worker);
        let full = disk_usage(dir.path());
        remove(&worker, 1..LOGS);
        worker.collect().unwrap();
        let left = disk_usage(dir.path());
        assert!(left * 3 < full, "{left} of {full} bytes are left");
        for page in 0..PAGES {
            let at = |log| page_key(LogId(log), page * PAGE as u64);
            let database = worker.engine.database().unwrap();
            let value = database.pages.get(at(0)).unwrap().unwrap();
            assert!(value.len() > PAGE && value[value.len() - PAGE..] == vec![0; PAGE]);
            assert!(database.pages.get(at(1)).unwrap().is_none());
        }
        remove(&worker, 0..1);
        worker.collect().unwrap();
        assert_eq!(worker.engine.database().unwrap().pages.blob_file_count(), 0);
    }

    #[test]
    fn many_small_files_become_one_and_nothing_is_lost() {
        const FLUSHES: u64 = 60;
        let dir = tempfile::tempdir().unwrap();
        let (worker, _wake) = worker(dir.path());
        let record = |number: u64| vec![number as u8; 5000 + 1000 * (number % 40) as usize];
        let mut at = 0;
        for number in 0..FLUSHES {
            let mut chunk = Chunk::starting_at(at);
            chunk.push(&record(number));
            at = chunk.end();
            let growth = LogGrowth { chunks: vec![chunk.freeze()], end: at, ..LogGrowth::default() };
            let generation = Generation { logs: [(LogId(number % 3), growth)].into(), ..Generation::default() };
            worker.engine.database().unwrap().flush(&generation, number, None).unwrap();
        }
        let count = || worker.engine.database().unwrap().pages.blob_file_count();
        assert!(count() > 50 && is_scattered(&worker.engine.database().unwrap().pages), "{}", count());
        worker.collect().unwrap();
        assert!(count() <= 3, "{} files are left", count());
        let files = std::fs::read_dir(dir.path().join("keyspaces/2/blobs")).unwrap().count();
        assert!(files <= 3, "{files} files are left on the disk");
        let mut at = 0;
        for number in 0..FLUSHES {
            let page = worker.engine.database().unwrap().pages.get(page_key(LogId(number % 3), at)).unwrap().unwrap();
            assert!(page.ends_with(&record(number)), "{number}");
            at += record(number).len() as u64;
        }
    }

    #[test]
    fn files_are_not_copied_without_space_for_the_copies() {
        let dir = tempfile::tempdir().unwrap();
        let (worker, _wake) = worker(dir.path());
        fill(&worker);
        remove(&worker, 1..LOGS);
        worker.free_space.measured(0, 0, 0);
        // The removed bytes count after the first compaction, which copies nothing.
        let stopped = worker.collect().unwrap_err();
        assert!(matches!(stopped, Stop::Failed(Error::DiskFull { .. })), "{stopped:?}");
        worker.free_space.measured(0, u64::MAX, 0);
        worker.collect().unwrap();
    }

    #[test]
    fn closing_the_store_ends_a_pause() {
        let dir = tempfile::tempdir().unwrap();
        let (worker, wake) = worker(dir.path());
        drop(wake);
        assert!(matches!(worker.pause(Duration::MAX / 4), Err(Stop::Closing)));
        worker.run();
    }
}
