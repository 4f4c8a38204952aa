//! Settles what the journal holds, one generation after the other, on a thread of its own.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use super::engine::Engine;
use super::journal::Old;
use super::kept::Kept;
use super::room::Room;
use super::unsettled::{Generation, Unsettled};
use crate::store::error::Error;

/// How long it rests after an error.
const REST_AFTER_ERROR: Duration = Duration::from_secs(1);

/// What is to be settled.
pub(super) struct Work {
    pub(super) generation: Generation,
    pub(super) next_commit: u64,
    /// The part of the journal that is not needed then.
    pub(super) old: Old,
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
}

#[derive(Default)]
struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    busy: bool,
    failing: bool,
}

impl Settler {
    /// Errors: [`Error::Failed`].
    pub(super) fn start(
        engine: Arc<Engine>,
        kept: Arc<Kept>,
        unsettled: Arc<RwLock<Unsettled>>,
        room: Arc<Room>,
    ) -> Result<Self, Error> {
        let progress = Arc::new(Progress::default());
        // There is never more than one.
        let (work, coming) = sync_channel(1);
        let desk = Desk { engine, kept, unsettled, room, progress: Arc::clone(&progress), coming };
        let named = std::thread::Builder::new().name("store-settler".into());
        let thread = named.spawn(move || desk.run());
        let thread = thread.map_err(|error| Error::Failed(format!("no thread to settle the store with: {error}")))?;
        Ok(Self { work: Some(work), thread: Some(thread), progress })
    }

    /// Whether it has something to do.
    pub(super) fn is_busy(&self) -> bool {
        self.progress.state().busy
    }

    /// Waits until it has nothing to do, or cannot do it.
    pub(super) fn wait(&self) {
        let waits = |state: &mut State| state.busy && !state.failing;
        drop(self.progress.changed.wait_while(self.progress.state(), waits).unwrap_or_else(PoisonError::into_inner));
    }

    /// Gives it something to do; it must not be busy.
    pub(super) fn settle(&self, work: Work) {
        self.progress.state().busy = true;
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

    fn set(&self, busy: bool, failing: bool) {
        *self.state() = State { busy, failing };
        self.changed.notify_all();
    }
}

struct Desk {
    engine: Arc<Engine>,
    kept: Arc<Kept>,
    unsettled: Arc<RwLock<Unsettled>>,
    room: Arc<Room>,
    progress: Arc<Progress>,
    coming: Receiver<Work>,
}

impl Desk {
    fn run(&self) {
        while let Ok(work) = self.coming.recv() {
            if !self.settle(work) {
                return;
            }
            self.progress.set(false, false);
        }
    }

    fn try_to_settle(&self, work: &mut Work, kept: Option<u64>) -> Result<(), Error> {
        if kept.is_some() {
            work.old.keep_newest(&self.kept).map_err(|error| Error::Failed(error.to_string()))?;
        }
        self.engine.settle(&work.generation, work.next_commit, kept)
    }

    /// Tries until it is done, or the store closes: then whoever opens it goes on.
    fn settle(&self, mut work: Work) -> bool {
        let kept = segment_that_stays(&work);
        let mut failing = false;
        while let Err(error) = self.try_to_settle(&mut work, kept) {
            if !failing {
                tracing::error!(%error, "what was written stays in the journal for now");
            }
            failing = true;
            self.progress.set(true, true);
            self.room.refuse();
            if matches!(self.coming.recv_timeout(REST_AFTER_ERROR), Err(RecvTimeoutError::Disconnected)) {
                return false;
            }
        }
        self.unsettled.write().unwrap_or_else(PoisonError::into_inner).settled(&work.generation);
        if let Err(error) = work.old.retire(!self.room.is_short()) {
            // It is read at the next start, and then thrown away.
            tracing::warn!(%error, "a part of the journal cannot be removed");
        }
        true
    }
}

fn segment_that_stays(work: &Work) -> Option<u64> {
    let (segment, bytes) = work.old.newest()?;
    let large = work.generation.large_bytes(segment);
    (large > 0 && large * PARTS >= bytes * LARGE_PARTS).then_some(segment)
}
