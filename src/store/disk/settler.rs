//! Settles what the journal holds, one generation after the other, on a thread of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use super::engine::Engine;
use super::journal::{Journal, Old, Spare};
use super::kept::Kept;
use super::room::Room;
use super::store::unwritten;
use super::unsettled::{Generation, Unsettled};
use crate::store::error::Error;

/// How long it rests after an error, and after many.
const REST_AFTER_ERROR: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(60);

/// What is to be settled.
struct Work {
    generation: Generation,
    next_commit: u64,
    /// The part of the journal that is not needed then.
    old: Old,
}

/// How much may be in the journal before it is settled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// With so much a generation is settled, unless the one before is not.
    pub(super) settled_at_bytes: u64,
    /// With so much commits wait for it.
    pub(super) bytes_max: u64,
    /// So many files, too: each start leaves one.
    pub(super) segments_max: usize,
}

impl Limits {
    /// Enough to fill pages of several hundred busy logs, little enough to be in memory and read in a moment at the start.
    pub(super) const USUAL: Self =
        Self { settled_at_bytes: 16 * 1024 * 1024, bytes_max: 64 * 1024 * 1024, segments_max: 8 };
}

/// A segment of the journal that is full of large records stays, as the place where they are: they are written once. It is
/// one if so many parts of [`PARTS`] are such records.
const LARGE_PARTS: u64 = 3;
const PARTS: u64 = 4;

/// The thread's owner: it ends with this.
pub(super) struct Settler {
    work: Option<SyncSender<Work>>,
    thread: Option<JoinHandle<()>>,
    progress: Arc<Progress>,
    unsettled: Arc<RwLock<Unsettled>>,
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
    /// It has something to do and tries it again and again.
    Failing,
    /// It has panicked.
    Dead,
}

impl Settler {
    /// Errors: [`Error::Failed`].
    pub(super) fn start(
        engine: Arc<Engine>,
        kept: Arc<Kept>,
        unsettled: Unsettled,
        room: Arc<Room>,
        spare: Arc<Spare>,
    ) -> Result<Self, Error> {
        let progress = Arc::new(Progress::default());
        // There is never more than one.
        let (work, coming) = sync_channel(1);
        let unsettled = Arc::new(RwLock::new(unsettled));
        let seen = Arc::clone(&unsettled);
        let desk = Desk { engine, kept, unsettled: seen, room, spare, progress: Arc::clone(&progress), coming };
        let named = std::thread::Builder::new().name("store-settler".into());
        let thread = named.spawn(move || desk.run());
        let thread = thread.map_err(|error| Error::Failed(format!("no thread to settle the store with: {error}")))?;
        Ok(Self { work: Some(work), thread: Some(thread), progress, unsettled })
    }

    /// Whether it has nothing to do. Errors: [`Error::Failed`] if it never will.
    pub(super) fn is_idle(&self) -> Result<bool, Error> {
        match *self.progress.state() {
            State::Idle => Ok(true),
            State::Busy | State::Failing => Ok(false),
            State::Dead => Err(Error::Failed("the thread that settles the store has panicked".to_owned())),
        }
    }

    /// Waits until it has nothing to do, or cannot do it.
    pub(super) fn wait(&self) {
        let busy = |state: &mut State| *state == State::Busy;
        drop(self.progress.changed.wait_while(self.progress.state(), busy).unwrap_or_else(PoisonError::into_inner));
    }

    /// Has the journal settled when there is much in it; waits for the generation before if there is too much. Errors:
    /// [`Error::Failed`].
    pub(super) fn settle_in_time(&self, journal: &mut Journal, limits: &Limits) -> Result<(), Error> {
        if journal.bytes() < limits.settled_at_bytes && journal.segments() <= limits.segments_max {
            return Ok(());
        }
        if journal.bytes() >= limits.bytes_max && !self.is_idle()? {
            // Whoever syncs at intervals cannot do so meanwhile.
            journal.sync().map_err(unwritten)?;
            self.wait();
        }
        self.settle(journal)
    }

    /// Has everything settled that is in the journal, unless it is at the generation before. Errors: [`Error::Failed`].
    pub(super) fn settle(&self, journal: &mut Journal) -> Result<(), Error> {
        if self.is_idle()? {
            let old = journal.rotate().map_err(unwritten)?;
            let generation = self.unsettled_mut().generation();
            self.begin(Work { generation, next_commit: journal.next_commit(), old });
        }
        Ok(())
    }

    /// What is not settled. It is whole between any two lines, so a panic elsewhere leaves it usable.
    pub(super) fn unsettled(&self) -> RwLockReadGuard<'_, Unsettled> {
        self.unsettled.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, for whoever commits.
    pub(super) fn unsettled_mut(&self) -> RwLockWriteGuard<'_, Unsettled> {
        self.unsettled.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, work: Work) {
        self.progress.set(State::Busy);
        let sent = self.work.as_ref().is_some_and(|to| to.send(work).is_ok());
        debug_assert!(sent, "the thread ends with its owner");
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.work = None;
        // A thread that has panicked has said so.
        self.thread.take().map(JoinHandle::join);
    }
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.state() = state;
        self.changed.notify_all();
    }
}

struct Desk {
    engine: Arc<Engine>,
    kept: Arc<Kept>,
    unsettled: Arc<RwLock<Unsettled>>,
    room: Arc<Room>,
    spare: Arc<Spare>,
    progress: Arc<Progress>,
    coming: Receiver<Work>,
}

impl Desk {
    fn run(&self) {
        while let Ok(work) = self.coming.recv() {
            // Nobody may wait for ever for a thread that is gone.
            match catch_unwind(AssertUnwindSafe(|| self.settle(work))) {
                Ok(true) => self.progress.set(State::Idle),
                Ok(false) => return,
                Err(_) => {
                    self.room.stick(true);
                    return self.progress.set(State::Dead);
                }
            }
        }
    }

    /// Tries until it is done, or the store closes: then whoever opens it goes on.
    fn settle(&self, mut work: Work) -> bool {
        let kept = segment_that_stays(&work);
        let (mut keys_are_there, mut rest) = (false, REST_AFTER_ERROR);
        while let Err(error) = self.try_to_settle(&mut work, kept, &mut keys_are_there) {
            if rest == REST_AFTER_ERROR {
                tracing::error!(%error, "what was written stays in the journal for now, and no content is taken");
            }
            self.room.stick(true);
            self.progress.set(State::Failing);
            if matches!(self.coming.recv_timeout(rest), Err(RecvTimeoutError::Disconnected)) {
                return false;
            }
            rest = REST_MAX.min(rest * 2);
        }
        if rest > REST_AFTER_ERROR {
            tracing::info!("what was written is settled now, and content is taken again");
        }
        self.room.stick(false);
        self.unsettled.write().unwrap_or_else(PoisonError::into_inner).settled(&work.generation);
        if let Some(segment) = kept {
            self.kept.free_besides(segment, work.generation.large_in(segment));
        }
        if let Err(error) = work.old.retire((!self.room.is_short()).then_some(&self.spare)) {
            // It is read at the next start, and then thrown away.
            tracing::warn!(%error, "a part of the journal cannot be removed");
        }
        true
    }

    fn try_to_settle(&self, work: &mut Work, kept: Option<u64>, keys_are_there: &mut bool) -> Result<(), Error> {
        self.engine.reopen_if_failed()?;
        // What is written until there is no room left stays there for nothing until the next try.
        if self.room.free_bytes() == 0 {
            return Err(Error::NoRoom { free_bytes: 0, needed_bytes: 1 });
        }
        if self.room.is_short() {
            work.generation.logs.values_mut().for_each(|grown| grown.joins = false);
        }
        let settled = self.engine.database()?;
        if !*keys_are_there {
            settled.settle_keys(&work.generation.keys)?;
            *keys_are_there = true;
        }
        if kept.is_some() {
            work.old.keep_newest(&self.kept).map_err(|error| Error::Failed(error.to_string()))?;
        }
        settled.settle_logs(&work.generation, work.next_commit, kept)
    }
}

fn segment_that_stays(work: &Work) -> Option<u64> {
    let (segment, bytes) = work.old.newest()?;
    let large: u64 = work.generation.large_in(segment).iter().map(|(_, bytes)| bytes).sum();
    (large > 0 && large * PARTS >= bytes * LARGE_PARTS).then_some(segment)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::store::batch::LogId;
    use crate::store::chunk::Chunk;
    use crate::store::disk::keyspaces::page_key;
    use crate::store::disk::scratch::config;
    use crate::store::disk::unsettled::Grown;

    #[test]
    fn what_cannot_be_settled_is_settled_later_and_nothing_is_taken_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, room) = (Arc::new(Engine::open(&config(dir.path())).unwrap()), Arc::new(Room::new(0)));
        let kept = Arc::new(Kept::expecting(std::iter::empty()));
        let spare = Arc::new(Spare::new(dir.path(), true));
        let settler =
            Settler::start(Arc::clone(&engine), kept, Unsettled::default(), Arc::clone(&room), spare).unwrap();
        let mut chunk = Chunk::starting_at(0);
        chunk.push(b"record");
        let grown = Grown { chunks: vec![chunk.freeze()], end: 6, joins: false, places: Vec::new() };
        let generation = Generation { logs: [(LogId(1), grown)].into(), ..Generation::default() };
        room.looked(0, 0, 0);
        settler.begin(Work { generation, next_commit: 7, old: Old::default() });
        settler.wait();
        assert!(!settler.is_idle().unwrap());
        room.looked(0, 1000, 0);
        assert!(matches!(room.check(1), Err(Error::Failed(_))), "it would only be in the journal");
        assert_eq!(engine.database().unwrap().settled().unwrap(), 0);
        let patience = Instant::now() + Duration::from_secs(60);
        while !settler.is_idle().unwrap() {
            assert!(Instant::now() < patience, "it was not tried again");
            std::thread::yield_now();
        }
        room.check(1).unwrap();
        assert_eq!(engine.database().unwrap().settled().unwrap(), 7);
        assert!(engine.database().unwrap().pages.get(page_key(LogId(1), 0)).unwrap().is_some());
    }
}
