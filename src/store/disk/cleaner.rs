//! Gives the disk back what dropped logs had there.
//!
//! fjall removes nothing by itself on a store that rests: what was removed stands in files beside what it hides, and they are
//! written anew only when others come. So the cleaner has the pages compacted, on a thread of its own.
//!
//! - It begins when a worthwhile part of the pages was dropped, or when room is short and there is something to gain. After
//!   that it rests at least [`TIMES_RESTED`] times as long as it worked.
//! - Commits go on, and so does settling.
//! - Compacting copies what is left in files of which a part was dropped; it is not begun without room for that.
//! - An error is logged when it begins, and everything is tried again later: nothing is lost by a compaction that fails.
//! - When the store closes it ends after the step it is at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fjall::{AbstractTree, Keyspace};

use super::engine::Engine;
use super::keyspaces::failed;
use super::room::Room;
use crate::store::batch::LogId;
use crate::store::error::Error;

/// Less than so much is not worth the trouble, unless room is short.
const WORTHWHILE_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// Nor is a smaller part of what the pages occupy than this.
const WORTHWHILE_PART: u64 = 8;

/// fjall copies what is left in a file when a fourth of it was removed, of its records alone.
const COPIED_PART: u64 = 5;

/// How much longer it rests than it works.
const TIMES_RESTED: u32 = 4;

/// How long it rests at the least.
const REST_MIN: Duration = Duration::from_secs(1);

/// How long it rests after an error.
const REST_AFTER_ERROR: Duration = Duration::from_secs(10);

/// The thread's owner: it ends with this.
pub(super) struct Cleaner {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    engine: Arc<Engine>,
    room: Arc<Room>,
    dropped_bytes: Arc<AtomicU64>,
}

impl Cleaner {
    /// Errors: [`Error::Failed`].
    pub(super) fn start(engine: Arc<Engine>, room: Arc<Room>) -> Result<Self, Error> {
        // What an earlier process has left is not known; so something was dropped.
        let dropped_bytes = Arc::new(AtomicU64::new(engine.database()?.pages.fragmented_blob_bytes().max(1)));
        let (wake, woken) = sync_channel(1);
        let work =
            Work { engine: Arc::clone(&engine), room: Arc::clone(&room), dropped: Arc::clone(&dropped_bytes), woken };
        let named = std::thread::Builder::new().name("store-cleaner".into());
        let thread = named.spawn(move || work.run());
        let thread = thread.map_err(|error| Error::Failed(format!("no thread to clean the store with: {error}")))?;
        Ok(Self { wake: Some(wake), thread: Some(thread), engine, room, dropped_bytes })
    }

    /// So many bytes of pages were removed.
    pub(super) fn dropped(&self, bytes: u64) {
        self.dropped_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Wakes the thread if there is something to gain. Does not block.
    pub(super) fn wake_when_due(&self) {
        let dropped = self.dropped_bytes.load(Ordering::Relaxed);
        let paged_bytes = || self.engine.database().map_or(u64::MAX, |settled| settled.pages.disk_space());
        let worthwhile = || dropped >= WORTHWHILE_BYTES_MIN && dropped >= paged_bytes() / WORTHWHILE_PART;
        let pressing = || self.room.is_short() && dropped > 0;
        if pressing() || worthwhile() {
            // A full channel means that it is about to look.
            self.wake.as_ref().map(|wake| wake.try_send(()));
        }
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        self.wake = None;
        // A thread that has panicked has said so.
        self.thread.take().map(JoinHandle::join);
    }
}

struct Work {
    engine: Arc<Engine>,
    room: Arc<Room>,
    dropped: Arc<AtomicU64>,
    woken: Receiver<()>,
}

/// Why it stops in the middle.
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

impl From<fjall::Error> for Stop {
    fn from(error: fjall::Error) -> Self {
        Self::Failed(failed(error))
    }
}

impl Work {
    fn run(&self) {
        let mut works = true;
        while self.woken.recv().is_ok() {
            let (begun, dropped) = (Instant::now(), self.dropped.load(Ordering::Relaxed));
            let outcome = self.clean();
            let took = begun.elapsed();
            match &outcome {
                Ok(()) => {
                    self.dropped.fetch_sub(dropped, Ordering::Relaxed);
                    tracing::debug!(dropped, ?took, "the store has given back what was dropped");
                }
                Err(Stop::Failed(error)) if works => {
                    tracing::error!(%error, "what was dropped keeps its room on the disk for now");
                }
                Err(Stop::Failed(_)) => {}
                Err(Stop::Closing) => return,
            }
            works = outcome.is_ok();
            let rest = if works { REST_MIN.max(took * TIMES_RESTED) } else { REST_AFTER_ERROR };
            if self.pause(rest).is_err() {
                return;
            }
        }
    }

    /// Errors: [`Error::NoRoom`], [`Error::Failed`].
    fn clean(&self) -> Result<(), Stop> {
        // The first time counts what was removed, the second time copies what is left, the third time lets go of the copied.
        for _ in 0..3 {
            self.engine.reopen_if_failed()?;
            self.let_go()?;
            self.compact()?;
            self.pause(Duration::ZERO)?;
        }
        Ok(())
    }

    fn compact(&self) -> Result<(), Stop> {
        // Who wants to open the database anew does not wait for this.
        let _pinned = self.engine.pin();
        let pages = self.engine.database()?.pages.clone();
        self.check_room_to_copy(copied_bytes(&pages))?;
        if let Err(error) = pages.major_compact() {
            self.engine.database()?.fail();
            return Err(error.into());
        }
        Ok(())
    }

    /// fjall keeps what was removed, and the files that a compaction has replaced, for as long as somebody may still see
    /// them. It finds that nobody does when something newer comes.
    fn let_go(&self) -> Result<(), Stop> {
        Ok(self.engine.database()?.erase(&[], &[], &[LogId(u64::MAX)])?)
    }

    /// Copying takes no more than half of what is free: others write meanwhile.
    fn check_room_to_copy(&self, bytes: u64) -> Result<(), Stop> {
        let (free_bytes, needed_bytes) = (self.room.free_bytes(), bytes.saturating_mul(2));
        if free_bytes < needed_bytes {
            return Err(Stop::Failed(Error::NoRoom { free_bytes, needed_bytes }));
        }
        Ok(())
    }

    /// Waits, whoever wakes it, until the store closes.
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

/// How much a compaction copies: what is left in the files of which enough was removed.
fn copied_bytes(pages: &Keyspace) -> u64 {
    let version = pages.tree.current_version();
    let mut one = version.gc_stats().clone();
    let left = version.blob_files.iter().filter_map(|file| {
        let removed = *version.gc_stats().get(&file.id())?;
        // The whole tells its bytes, a part does not.
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
    use crate::store::disk::keyspaces::page_key;
    use crate::store::disk::scratch::{config, occupied_bytes};
    use crate::store::disk::unsettled::{Generation, Grown};

    const LOGS: u64 = 16;
    const PAGES: u64 = 6;
    const PAGE: usize = 1_000_000;

    fn work(dir: &Path) -> (Work, SyncSender<()>) {
        let engine = Arc::new(Engine::open(&config(dir)).unwrap());
        let (wake, woken) = sync_channel(1);
        let (room, dropped) = (Arc::new(Room::new(0)), Arc::new(AtomicU64::new(0)));
        (Work { engine, room, dropped, woken }, wake)
    }

    /// Writes pages of all logs in turns, so that every file has some of each.
    fn fill(work: &Work) {
        for page in 0..PAGES {
            let mut generation = Generation::default();
            for log in 0..LOGS {
                let mut chunk = Chunk::starting_at(page * PAGE as u64);
                chunk.push(&vec![log as u8; PAGE]);
                let end = chunk.end();
                let grown = Grown { chunks: vec![chunk.freeze()], end, joins: false, places: Vec::new() };
                generation.logs.insert(LogId(log), grown);
            }
            work.engine.database().unwrap().settle(&generation, page, None).unwrap();
        }
    }

    fn remove(work: &Work, logs: std::ops::Range<u64>) {
        let pages = |log| (0..PAGES).map(move |page| page_key(LogId(log), page * PAGE as u64));
        let done: Vec<LogId> = logs.clone().map(LogId).collect();
        work.engine.database().unwrap().erase(&logs.flat_map(pages).collect::<Vec<_>>(), &[], &done).unwrap();
    }

    #[test]
    fn what_most_logs_had_leaves_the_disk_of_a_store_that_rests() {
        let dir = tempfile::tempdir().unwrap();
        let (work, _wake) = work(dir.path());
        fill(&work);
        let full = occupied_bytes(dir.path());
        remove(&work, 1..LOGS);
        work.clean().unwrap();
        let left = occupied_bytes(dir.path());
        assert!(left * 3 < full, "{left} of {full} bytes are left");
        for page in 0..PAGES {
            let at = |log| page_key(LogId(log), page * PAGE as u64);
            let settled = work.engine.database().unwrap();
            let kept = settled.pages.get(at(0)).unwrap().unwrap();
            assert!(kept.len() > PAGE && kept[kept.len() - PAGE..] == vec![0; PAGE]);
            assert!(settled.pages.get(at(1)).unwrap().is_none());
        }
        remove(&work, 0..1);
        work.clean().unwrap();
        assert_eq!(work.engine.database().unwrap().pages.blob_file_count(), 0);
    }

    #[test]
    fn files_are_not_copied_where_there_is_no_room_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let (work, _wake) = work(dir.path());
        fill(&work);
        remove(&work, 1..LOGS);
        work.room.looked(0, 0, 0);
        // What was dropped counts after the first compaction, which copies nothing.
        let stopped = work.clean().unwrap_err();
        assert!(matches!(stopped, Stop::Failed(Error::NoRoom { .. })), "{stopped:?}");
        work.room.looked(0, u64::MAX, 0);
        work.clean().unwrap();
    }

    #[test]
    fn a_store_that_closes_is_not_held_up() {
        let dir = tempfile::tempdir().unwrap();
        let (work, wake) = work(dir.path());
        drop(wake);
        assert!(matches!(work.pause(Duration::MAX / 4), Err(Stop::Closing)));
        work.run();
    }
}
