//! The one way in which anything is written: decided under one lock, committed in batches, shown, then answered.
//!
//! Whoever has something to write decides it against what all earlier decisions will make of the streams, and leaves it
//! with the others that wait. One commit takes everything that waits. While it runs, more decisions gather for the next.
//!
//! Commits of a store that blocks are made by a thread of ours, one after the other for as long as there is something to
//! write, so that the medium need not wait for the runtime. A lone writer makes its commit where it is: see [`Lone`]. It is
//! the same commit everywhere.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::commit::{batch_of, bytes_of, showings_of};
use super::config::Config;
use super::error::Error;
use super::lifecycle::Announcer;
use super::lone::Lone;
use super::room::{Claim, Coming};
use super::rules::{Change, Ledger, Refusal};
use super::shelf::Shelf;
use super::subscriptions::Notices;
use crate::http::turn;
use crate::store::{Batch, Pace, Store};
use crate::sync::lock;

/// Decides, commits, shows.
pub(super) struct Writer {
    pub(super) store: Arc<dyn Store>,
    pub(super) shelf: Shelf,
    pub(super) clock: Clock,
    pub(super) lifecycle: Announcer,
    pub(super) notices: Notices,
    coming: Coming,
    desk: Mutex<Desk>,
    /// Held while a commit runs.
    turn: Mutex<()>,
    waiting_bytes_max: usize,
    /// Cancelled when the thread has let go of everything, or there is none.
    pub(super) ended: CancellationToken,
    place: Place,
    /// When the sweeper has planned to look again.
    sweep_planned_ms: AtomicU64,
    pub(super) sweep_earlier: Notify,
}

/// Who makes the commits.
enum Place {
    /// Whoever has something to write: the store does not block.
    Caller,
    /// A thread of ours, which this wakes; or a lone caller.
    Thread(SyncSender<()>),
}

struct Desk {
    ledger: Ledger,
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    committing: bool,
    lone: Lone,
    failed: Option<String>,
}

struct Waiting {
    changes: Vec<Change>,
    /// `None` for the one that makes the commit.
    done: Option<oneshot::Sender<Result<(), Error>>>,
    /// Held until they are written.
    _room: Option<Claim>,
}

/// What is left for whoever has made a commit.
enum Left {
    /// Nothing: the next one who comes begins anew.
    Nothing,
    /// What has come meanwhile.
    More,
}

impl Desk {
    /// A commit is made.
    fn leave(&mut self) -> Left {
        self.committing = !self.waiting.is_empty();
        if self.committing { Left::More } else { Left::Nothing }
    }
}

impl Writer {
    /// Starts with what a store has kept already.
    pub(super) fn start(
        store: Arc<dyn Store>,
        ledger: Ledger,
        shelf: Shelf,
        clock: Clock,
        config: &Config,
    ) -> Arc<Self> {
        let ended = CancellationToken::new();
        let ending = ended.clone().drop_guard();
        let (place, rung) = place_for(&*store);
        let desk = Desk {
            ledger,
            waiting: Vec::new(),
            waiting_bytes: 0,
            committing: false,
            lone: Lone::default(),
            failed: None,
        };
        let writer = Arc::new(Self {
            store,
            shelf,
            clock,
            lifecycle: Announcer::new(config.lifecycle_events_max),
            notices: Notices::default(),
            coming: Coming::default(),
            desk: Mutex::new(desk),
            turn: Mutex::new(()),
            waiting_bytes_max: config.waiting_bytes_max,
            ended: ended.clone(),
            place,
            sweep_planned_ms: AtomicU64::new(u64::MAX),
            sweep_earlier: Notify::new(),
        });
        if let Some(rung) = rung {
            let weak = Arc::downgrade(&writer);
            let named = std::thread::Builder::new().name("streams-writer".into());
            let run = move || {
                let _ending = ending;
                commit_whenever(&rung, &weak);
            };
            if let Err(error) = named.spawn(run) {
                lock(&writer.desk).failed = Some(format!("no thread to write with: {error}"));
            }
        }
        writer
    }

    /// Looks at the ledger, or changes what need not be written.
    pub(super) fn with_ledger<A>(&self, look: impl FnOnce(&mut Ledger, u64) -> A) -> A {
        look(&mut lock(&self.desk).ledger, self.clock.now_ms())
    }

    /// Why nothing can be written any more, if so.
    pub(super) fn failure(&self) -> Option<String> {
        lock(&self.desk).failed.clone()
    }

    /// Claims room for so much content. Errors: [`Error::NoRoom`].
    pub(super) fn claim_room(&self, bytes: u64) -> Result<Claim, Error> {
        Ok(self.coming.claim(&*self.store, bytes)?)
    }

    /// Decides what takes no room to speak of, as [`Writer::submit_content`] does.
    pub(super) async fn submit<A>(
        &self,
        decide: impl FnOnce(&mut Ledger, u64, &mut Vec<Change>) -> Result<A, Refusal>,
    ) -> Result<A, Error> {
        self.submit_content(None, decide).await
    }

    /// Decides, and answers when everything that the decision rests on is written and shown.
    ///
    /// Errors: [`Error::Refused`], [`Error::Busy`], [`Error::StoreFailed`]. Not cancel-safe: a dropped call may still
    /// be written.
    pub(super) async fn submit_content<A>(
        &self,
        room: Option<Claim>,
        decide: impl FnOnce(&mut Ledger, u64, &mut Vec<Change>) -> Result<A, Refusal>,
    ) -> Result<A, Error> {
        if matches!(self.place, Place::Thread(_)) && lock(&self.desk).lone.would_be_alone(turn()) {
            // The worker looks who else is there, before it may have to wait.
            tokio::task::yield_now().await;
        }
        let (answer, begins, written) = {
            let mut desk = lock(&self.desk);
            if let Some(cause) = &desk.failed {
                return Err(Error::StoreFailed { cause: cause.clone() });
            }
            if desk.waiting_bytes > self.waiting_bytes_max {
                return Err(Error::Busy { bytes: desk.waiting_bytes });
            }
            let mut changes = Vec::new();
            let answer = decide(&mut desk.ledger, self.clock.now_ms(), &mut changes);
            self.hurry_sweeper(&desk.ledger);
            if changes.is_empty() && desk.waiting.is_empty() && !desk.committing {
                return Ok(answer?);
            }
            desk.waiting_bytes += changes.iter().map(bytes_of).sum::<usize>();
            let begins = matches!(self.place, Place::Thread(_)) && !std::mem::replace(&mut desk.committing, true);
            let here = desk.lone.is_alone(turn()) && begins;
            let (done, written) = oneshot::channel();
            desk.waiting.push(Waiting { changes, done: (!here).then_some(done), _room: room });
            (answer, begins, (!here).then_some(written))
        };
        match (&self.place, written) {
            (_, None) => self.commit_first()?,
            (place, Some(written)) => {
                match place {
                    // What comes of it is told to all who wait, this one included.
                    Place::Caller => drop(self.commit_waiting()),
                    Place::Thread(bell) if begins => ring(bell),
                    Place::Thread(_) => {}
                }
                let ended = |_| Err(Error::StoreFailed { cause: "the writer has ended".to_owned() });
                written.await.unwrap_or_else(ended)?;
            }
        }
        Ok(answer?)
    }

    /// Makes one commit, and leaves what has come meanwhile to the thread.
    fn commit_first(&self) -> Result<(), Error> {
        let outcome = self.commit_waiting();
        if let (Place::Thread(bell), Ok(Left::More)) = (&self.place, &outcome) {
            ring(bell);
        }
        outcome.map(drop)
    }

    /// Makes commits until there is nothing to write.
    fn commit_on(&self) {
        loop {
            // Where processors are short, others have more for the commit by then: fewer commits, more in each.
            std::thread::yield_now();
            // If it fails, those who wait are told.
            let Ok(Left::More) = self.commit_waiting() else { return };
        }
    }

    /// Commits everything that waits, in one batch, and answers everybody who waited. Whatever panics meanwhile, nobody is
    /// left waiting for a commit that never comes.
    fn commit_waiting(&self) -> Result<Left, Error> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.commit_batch()));
        outcome.unwrap_or_else(|_| Err(self.fail("the writer panicked".to_owned(), Vec::new())))
    }

    fn commit_batch(&self) -> Result<Left, Error> {
        let _turn = lock(&self.turn);
        let (waiting, batch, showings) = {
            let mut desk = lock(&self.desk);
            if desk.waiting.is_empty() {
                return Ok(desk.leave());
            }
            desk.committing = true;
            desk.waiting_bytes = 0;
            let waiting = std::mem::take(&mut desk.waiting);
            let changes = || waiting.iter().flat_map(|waiting| &waiting.changes);
            let (batch, showings) = (batch_of(changes(), &desk.ledger), showings_of(changes(), &desk.ledger));
            (waiting, batch, showings)
        };
        match self.commit(batch) {
            Ok(()) => {
                let notices = showings.iter().filter_map(|showing| self.notices.of(showing)).collect();
                showings.into_iter().for_each(|showing| self.shelf.show(showing));
                self.tell(waiting.iter().flat_map(|waiting| &waiting.changes));
                self.notices.tell(notices);
                // Before the answers: whoever has more to write finds the place as it is.
                let left = lock(&self.desk).leave();
                tell(waiting, || Ok(()));
                Ok(left)
            }
            Err(cause) => Err(self.fail(cause, waiting)),
        }
    }

    /// Tells what has happened to whoever listens, in the order of the decisions.
    fn tell<'a>(&self, changes: impl Iterator<Item = &'a Change>) {
        if !self.lifecycle.is_heard() {
            return;
        }
        for change in changes {
            if let Change::Happened(event) = change {
                self.lifecycle.announce(event);
            }
        }
    }

    fn commit(&self, batch: Batch) -> Result<(), String> {
        if batch.is_empty() {
            return Ok(());
        }
        // A store that panics has failed as any other: nobody knows what it has written.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.store.commit(batch)));
        outcome.map_err(|_| "it panicked".to_owned())?.map_err(|error| error.to_string())
    }

    /// From now on nothing is accepted: what was decided is not what is written.
    fn fail(&self, cause: String, mut waiting: Vec<Waiting>) -> Error {
        tracing::error!(cause, "the store failed: nothing is accepted until the server was restarted");
        let mut desk = lock(&self.desk);
        desk.failed = Some(cause.clone());
        waiting.append(&mut desk.waiting);
        drop(desk);
        let failed = Error::StoreFailed { cause };
        tell(waiting, || Err(failed.clone()));
        failed
    }

    /// When the sweeper has to look next; it will.
    pub(super) fn plan_sweep(&self) -> Option<u64> {
        let next = lock(&self.desk).ledger.next_sweep_ms();
        self.sweep_planned_ms.store(next.unwrap_or(u64::MAX), Ordering::Release);
        next
    }

    fn hurry_sweeper(&self, ledger: &Ledger) {
        if ledger.next_sweep_ms().is_some_and(|at_ms| at_ms < self.sweep_planned_ms.load(Ordering::Acquire)) {
            self.sweep_earlier.notify_one();
        }
    }
}

/// Who makes the commits of a store and what wakes the thread if it is one.
fn place_for(store: &dyn Store) -> (Place, Option<Receiver<()>>) {
    match store.pace() {
        Pace::Immediate => (Place::Caller, None),
        Pace::Blocking => {
            let (bell, rung) = sync_channel(1);
            (Place::Thread(bell), Some(rung))
        }
    }
}

/// Wakes the thread. A full channel means that it is about to look.
fn ring(bell: &SyncSender<()>) {
    bell.try_send(()).ok();
}

/// Tells everybody the same. Somebody who has gone away needs no answer.
fn tell(waiting: Vec<Waiting>, outcome: impl Fn() -> Result<(), Error>) {
    let waiting = waiting.into_iter().filter_map(|waiting| waiting.done);
    waiting.for_each(|done| drop(done.send(outcome())));
}

fn commit_whenever(rung: &Receiver<()>, writer: &Weak<Writer>) {
    while rung.recv().is_ok() {
        let Some(writer) = writer.upgrade() else { return };
        writer.commit_on();
    }
}
