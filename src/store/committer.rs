//! Group commit: decisions of one state machine, made durable in batches.

mod error;
mod machine;
mod queue;
#[cfg(test)]
mod tests;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use self::error::{CommitError, Failure};
pub use self::machine::Machine;
use self::queue::{Entry, Queue, Taken};
use super::{Batch, Pace, Reservation, Store};
use crate::sync::lock;

/// Settings of a [`Committer`].
#[derive(Debug, Clone)]
pub struct CommitterConfig {
    /// The name of the thread that commits to a store that blocks.
    pub thread_name: &'static str,
    /// Bytes of changes that may wait for a commit; above that, submissions fail with [`CommitError::Busy`].
    pub waiting_bytes_max: usize,
}

/// Options of a submission.
#[derive(Debug, Default)]
pub struct Submission {
    /// Space for the content of the changes; held until they are committed.
    pub reservation: Option<Reservation>,
    /// The thread that commits the changes, if no commit is running.
    pub commit_on: CommitOn,
}

/// A thread that can make the next commit to a store that blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CommitOn {
    /// The committer's own thread.
    #[default]
    Thread,
    /// The caller's thread, which waits for the medium: faster by two thread switches, where nothing else needs that thread.
    Caller,
}

/// Makes the decisions of a state machine durable.
///
/// A submission is decided under one lock, against everything that was decided before it, and queued. One commit takes
/// everything that is queued, as one batch with one sync; while it runs, further submissions queue up for the next one. After
/// the commit, the changes are published, and then each caller gets its answer: no caller and no reader sees what could still
/// be lost.
///
/// The commits to a store that blocks are made by a thread of the committer; those to any other store by the callers. Several
/// committers, each with its own machine and [`Owner`](super::Owner), may use one store, which makes their commits one after
/// the other.
///
/// When a commit fails or panics, the state is ahead of the store. From then on every submission fails with the cause, until
/// the machine is recovered from the store again. Cheap to clone; the thread ends with the last clone.
pub struct Committer<M: Machine>(Arc<Shared<M>>);

struct Shared<M: Machine> {
    store: Arc<dyn Store>,
    machine: M,
    queue: Mutex<Queue<M>>,
    /// Held while a commit runs.
    commit: Mutex<()>,
    /// Wakes the thread; `None` if the store does not block.
    wake: Option<SyncSender<()>>,
    waiting_bytes_max: usize,
    ended: CancellationToken,
}

/// The state of the queue after a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queued {
    Nothing,
    More,
}

/// The next step of a caller whose changes are queued.
enum Next {
    /// Nothing was changed, and nothing is waiting: the answer is final.
    Return,
    /// Makes the commit on this thread, to a store that blocks.
    Commit,
    /// Makes sure that a commit runs, and waits for its outcome.
    Wait { wakes: bool, outcome: oneshot::Receiver<Result<(), CommitError>> },
}

impl<M: Machine> Clone for Committer<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Machine> Committer<M> {
    /// Starts with a state that was recovered from `store`. Errors: the system refuses the thread.
    pub fn start(store: Arc<dyn Store>, machine: M, state: M::State, config: &CommitterConfig) -> io::Result<Self> {
        let ended = CancellationToken::new();
        let (wake, woken) = match store.pace() {
            Pace::Immediate => (None, None),
            Pace::Blocking => {
                let (wake, woken) = sync_channel(1);
                (Some(wake), Some(woken))
            }
        };
        let shared = Arc::new(Shared {
            store,
            machine,
            queue: Mutex::new(Queue::new(state)),
            commit: Mutex::new(()),
            wake,
            waiting_bytes_max: config.waiting_bytes_max,
            ended: ended.clone(),
        });
        let ending = ended.drop_guard();
        if let Some(woken) = woken {
            let weak = Arc::downgrade(&shared);
            let thread = std::thread::Builder::new().name(config.thread_name.to_owned());
            thread.spawn(move || {
                let _ending = ending;
                commit_when_woken(&woken, &weak);
            })?;
        }
        Ok(Self(shared))
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// The machine.
    pub fn machine(&self) -> &M {
        &self.0.machine
    }

    /// Reads the state, or changes what is not stored. The state may be ahead of the store.
    pub fn with_state<A>(&self, look: impl FnOnce(&mut M::State) -> A) -> A {
        look(&mut lock(&self.0.queue).state)
    }

    /// The first failure, after which all submissions fail.
    pub fn failure(&self) -> Option<Arc<Failure>> {
        lock(&self.0.queue).failure.clone()
    }

    /// Is cancelled when the thread has ended, which is after the last clone of this was dropped; at once without a thread.
    /// The store is closed then, if nothing else uses it.
    pub fn ended(&self) -> CancellationToken {
        self.0.ended.clone()
    }

    /// Reserves space for content. Errors: those of [`Store::reserve`].
    pub fn reserve(&self, bytes: u64) -> Result<Reservation, super::Error> {
        self.0.store.reserve(bytes)
    }

    /// Calls `decide`, and returns its answer when its changes, and all that were decided before it, are durable and
    /// published. `decide` must not panic once it has changed the state.
    ///
    /// Errors: [`CommitError::Busy`] before it has decided anything; [`CommitError::Failed`]. Not cancel-safe: the changes of
    /// a dropped call may still be committed.
    pub async fn submit<A>(
        &self,
        submission: Submission,
        decide: impl FnOnce(&mut M::State, &mut Vec<M::Change>) -> A,
    ) -> Result<A, CommitError> {
        let (answer, next) = self.0.enqueue(submission, decide)?;
        match next {
            Next::Return => {}
            Next::Commit => self.0.commit_once()?,
            Next::Wait { wakes, outcome } => {
                match &self.0.wake {
                    // This caller learns the outcome as every other one does.
                    None => drop(self.0.commit_queued()),
                    Some(wake) if wakes => notify(wake),
                    Some(_) => {}
                }
                outcome.await.unwrap_or_else(|_| Err(CommitError::Failed(Arc::new(Failure::Panicked))))?;
            }
        }
        Ok(answer)
    }
}

impl<M: Machine> Shared<M> {
    fn enqueue<A>(
        &self,
        submission: Submission,
        decide: impl FnOnce(&mut M::State, &mut Vec<M::Change>) -> A,
    ) -> Result<(A, Next), CommitError> {
        let mut queue = lock(&self.queue);
        queue.check(self.waiting_bytes_max)?;
        let mut changes = Vec::new();
        let answer = decide(&mut queue.state, &mut changes);
        if changes.is_empty() && queue.is_idle() {
            return Ok((answer, Next::Return));
        }
        let begins = self.wake.is_some() && queue.begin_commit();
        let (next, outcome) = match submission.commit_on {
            CommitOn::Caller if begins => (Next::Commit, None),
            CommitOn::Caller | CommitOn::Thread => {
                let (sender, outcome) = oneshot::channel();
                (Next::Wait { wakes: begins, outcome }, Some(sender))
            }
        };
        queue.push(Entry::new(changes, outcome, submission.reservation));
        Ok((answer, next))
    }

    /// Makes one commit, and leaves what was queued meanwhile to the thread.
    fn commit_once(&self) -> Result<(), CommitError> {
        let queued = self.commit_queued()?;
        if let (Some(wake), Queued::More) = (&self.wake, queued) {
            notify(wake);
        }
        Ok(())
    }

    /// Makes commits until nothing is queued.
    fn commit_all(&self) {
        loop {
            // Where processors are short, this lets callers queue more: fewer commits, with more in each.
            std::thread::yield_now();
            // A failure is reported to the callers that wait.
            let Ok(Queued::More) = self.commit_queued() else { return };
        }
    }

    /// Commits everything that is queued, and answers each caller. Whatever panics, no caller is left waiting.
    fn commit_queued(&self) -> Result<Queued, CommitError> {
        // Held until a failure is recorded, so that nothing decided on top of lost changes is committed.
        let _commit = lock(&self.commit);
        let outcome = catch_unwind(AssertUnwindSafe(|| self.commit_batch()));
        outcome.unwrap_or_else(|_| Err(self.fail(Failure::Panicked, Vec::new())))
    }

    fn commit_batch(&self) -> Result<Queued, CommitError> {
        let Taken { entries, batch, publication } = {
            let mut queue = lock(&self.queue);
            if let Some(failure) = &queue.failure {
                return Err(CommitError::Failed(Arc::clone(failure)));
            }
            let Some(taken) = queue.take(&self.machine) else { return Ok(queue.end_commit()) };
            taken
        };
        if let Err(failure) = self.write(batch) {
            return Err(self.fail(failure, entries));
        }
        self.machine.publish(publication, entries.iter().flat_map(Entry::changes));
        // Before the answers, so that a caller that submits again at once can begin the next commit.
        let queued = lock(&self.queue).end_commit();
        entries.into_iter().for_each(|entry| entry.answer(Ok(())));
        Ok(queued)
    }

    fn write(&self, batch: Batch) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        // After a panic it is unknown what was written, as after any other failure.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.store.commit(batch)));
        outcome.map_err(|_| Failure::StorePanicked)?.map_err(Failure::Store)
    }

    /// Refuses everything from now on, and answers all callers that wait.
    fn fail(&self, failure: Failure, mut entries: Vec<Entry<M::Change>>) -> CommitError {
        let failure = Arc::new(failure);
        tracing::error!(cause = %failure, "the store failed: nothing is accepted until the server is restarted");
        entries.append(&mut lock(&self.queue).fail(&failure));
        entries.into_iter().for_each(|entry| entry.answer(Err(CommitError::Failed(Arc::clone(&failure)))));
        CommitError::Failed(failure)
    }
}

/// Wakes the thread. If the channel is full, the thread is about to look at the queue anyway.
fn notify(wake: &SyncSender<()>) {
    wake.try_send(()).ok();
}

fn commit_when_woken<M: Machine>(woken: &Receiver<()>, shared: &Weak<Shared<M>>) {
    while woken.recv().is_ok() {
        let Some(shared) = shared.upgrade() else { return };
        shared.commit_all();
    }
}
