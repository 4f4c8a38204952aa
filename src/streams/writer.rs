//! The one way in which anything is written: decided under one lock, committed in batches, shown, then answered.
//!
//! Whoever has something to write decides it against what all earlier decisions will make of the streams, and leaves it
//! with the others that wait. One commit takes everything that waits. While it runs, more decisions gather for the next.
//! With a store that does not block, the caller makes the commit itself, on its thread; with one that does, a thread of
//! ours makes them. It is the same commit.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::{Notify, oneshot};

use super::clock::Clock;
use super::error::Error;
use super::rules::{Change, Ledger, Refusal};
use super::shelf::{End, Shelf, Showing, Shown, lock};
use super::wire::{StreamPath, producer_key, producers_of};
use crate::store::{Batch, LogId, Pace, Store, Table};

/// Streams: path to entry.
pub(super) const STREAMS: Table = Table("streams");

/// What there is once: the number of the next log.
pub(super) const COUNTERS: Table = Table("streams-counters");

/// Its key.
pub(super) const NEXT_LOG: &[u8] = b"next-log";

/// Producers: log and id to entry.
pub(super) const PRODUCERS: Table = Table("stream-producers");

/// Decides, commits, shows.
pub(super) struct Writer {
    pub(super) store: Arc<dyn Store>,
    pub(super) shelf: Shelf,
    pub(super) clock: Clock,
    desk: Mutex<Desk>,
    /// Held while a commit runs.
    turn: Mutex<()>,
    waiting_bytes_max: usize,
    /// Wakes the thread of a store that blocks.
    bell: SyncSender<()>,
    /// When the sweeper has planned to look again.
    sweep_planned_ms: AtomicU64,
    pub(super) sweep_earlier: Notify,
}

struct Desk {
    ledger: Ledger,
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    committing: bool,
    failed: Option<String>,
}

struct Waiting {
    changes: Vec<Change>,
    done: oneshot::Sender<Result<(), Error>>,
}

impl Writer {
    /// Starts with what a store has kept already.
    pub(super) fn start(
        store: Arc<dyn Store>,
        ledger: Ledger,
        shelf: Shelf,
        clock: Clock,
        bytes_max: usize,
    ) -> Arc<Self> {
        let (bell, rung) = sync_channel(1);
        let pace = store.pace();
        let desk = Desk { ledger, waiting: Vec::new(), waiting_bytes: 0, committing: false, failed: None };
        let writer = Arc::new(Self {
            store,
            shelf,
            clock,
            desk: Mutex::new(desk),
            turn: Mutex::new(()),
            waiting_bytes_max: bytes_max,
            bell,
            sweep_planned_ms: AtomicU64::new(u64::MAX),
            sweep_earlier: Notify::new(),
        });
        if pace == Pace::Blocking {
            let weak = Arc::downgrade(&writer);
            let named = std::thread::Builder::new().name("streams-writer".into());
            if let Err(error) = named.spawn(move || commit_whenever(&rung, &weak)) {
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

    /// Decides, and answers when everything that the decision rests on is written and shown.
    ///
    /// Errors: [`Error::Refused`], [`Error::Busy`], [`Error::StoreFailed`]. Not cancel-safe: a dropped call may still
    /// be written.
    pub(super) async fn submit<A>(
        &self,
        decide: impl FnOnce(&mut Ledger, u64, &mut Vec<Change>) -> Result<A, Refusal>,
    ) -> Result<A, Error> {
        let (answer, written) = {
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
            let (done, written) = oneshot::channel();
            desk.waiting_bytes += changes.iter().map(bytes_of).sum::<usize>();
            desk.waiting.push(Waiting { changes, done });
            (answer, written)
        };
        match self.store.pace() {
            Pace::Immediate => self.commit_waiting(),
            // A full channel means that it is about to look.
            Pace::Blocking => drop(self.bell.try_send(())),
        }
        let gone = || Error::StoreFailed { cause: "the writer has ended".to_owned() };
        written.await.unwrap_or_else(|_| Err(gone()))?;
        Ok(answer?)
    }

    /// Commits everything that waits, in one batch, and answers everybody who waited.
    fn commit_waiting(&self) {
        let _turn = lock(&self.turn);
        let (waiting, batch, showings) = {
            let mut desk = lock(&self.desk);
            if desk.waiting.is_empty() {
                return;
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
                showings.into_iter().for_each(|showing| self.shelf.show(showing));
                lock(&self.desk).committing = false;
                // Somebody who has gone away needs no answer.
                waiting.into_iter().for_each(|waiting| drop(waiting.done.send(Ok(()))));
            }
            Err(cause) => self.fail(cause, waiting),
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
    fn fail(&self, cause: String, mut waiting: Vec<Waiting>) {
        tracing::error!(cause, "the store failed: nothing is accepted until the server was restarted");
        let mut desk = lock(&self.desk);
        desk.failed = Some(cause.clone());
        waiting.append(&mut desk.waiting);
        drop(desk);
        let failed = || Err(Error::StoreFailed { cause: cause.clone() });
        waiting.into_iter().for_each(|waiting| drop(waiting.done.send(failed())));
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

fn commit_whenever(rung: &Receiver<()>, writer: &Weak<Writer>) {
    while rung.recv().is_ok() {
        let Some(writer) = writer.upgrade() else { return };
        writer.commit_waiting();
    }
}

fn bytes_of(change: &Change) -> usize {
    match change {
        Change::Record { record, .. } => record.len(),
        Change::Created { .. } | Change::Entry { .. } | Change::Producer { .. } | Change::Removed { .. } => 0,
    }
}

/// Records and removals in their order, then each entry once, as it is after all of them.
fn batch_of<'a>(changes: impl Iterator<Item = &'a Change>, ledger: &Ledger) -> Batch {
    let (mut batch, mut entries, mut producers) = (Batch::default(), BTreeSet::new(), BTreeSet::new());
    for change in changes {
        match change {
            Change::Record { log, start, record, .. } => batch.append(LogId(*log), *start, record.clone()),
            Change::Removed { path, log } => {
                batch.drop_log(LogId(*log));
                batch.sweep(PRODUCERS, producers_of(*log));
                batch.remove(STREAMS, key_of(path));
            }
            Change::Created { path } => {
                // Without it, a clock that is set back could give a number out again.
                let next = bytes::Bytes::copy_from_slice(&ledger.next_log().to_be_bytes());
                batch.put(COUNTERS, bytes::Bytes::from_static(NEXT_LOG), next);
                entries.insert(path);
            }
            Change::Entry { path } => drop(entries.insert(path)),
            Change::Producer { path, log, id } => drop(producers.insert((path, *log, id))),
        }
    }
    for path in entries {
        if let Some(stream) = ledger.stream(path) {
            batch.put(STREAMS, key_of(path), stream.entry.to_bytes());
        }
    }
    for (path, log, id) in producers {
        let stream = ledger.stream(path).filter(|stream| stream.entry.log == log);
        if let Some(producer) = stream.and_then(|stream| stream.producer(id)) {
            batch.put(PRODUCERS, producer_key(log, id), producer.to_bytes());
        }
    }
    batch
}

fn key_of(path: &StreamPath) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(path.as_str().as_bytes())
}

/// What readers get to see of the changes once they are written.
fn showings_of<'a>(changes: impl Iterator<Item = &'a Change>, ledger: &Ledger) -> Vec<Showing> {
    let mut showings: Vec<Showing> = Vec::new();
    for change in changes {
        match change {
            Change::Created { path } => {
                let stream = ledger.stream(path);
                showings.extend(stream.map(|stream| Showing::Opened(Arc::new(Shown::of(path, stream)))));
            }
            Change::Entry { path } | Change::Record { path, .. } => {
                let moved = |showing: &Showing| matches!(showing, Showing::Moved { path: last, .. } if last == path);
                let Some(stream) = ledger.stream(path).filter(|_| !showings.last().is_some_and(moved)) else {
                    continue;
                };
                let (log, end) = (stream.entry.log, End::of(stream));
                showings.push(Showing::Moved { path: path.clone(), log, end });
            }
            Change::Producer { .. } => {}
            Change::Removed { path, log } => showings.push(Showing::Gone { path: path.clone(), log: *log }),
        }
    }
    showings
}
