//! The store's own threads: one throws away what belonged to dropped logs and watches the disk fill up, one syncs at intervals
//! where that is the durability.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::cleaner::Cleaner;
use super::config::{DiskConfig, Durability};
use super::engine::Engine;
use super::journal::{Journal, Spare, sync};
use super::kept::{Kept, Place};
use super::keyspaces::{Keyspaces, failed, free_bytes, page_key};
use super::page::PLACE_BYTES_MAX;
use super::room::Room;
use super::settler::Settler;
use crate::store::batch::LogId;
use crate::store::error::Error;

/// How often the disk is asked for its room.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often it has the journal settled because something was dropped: each time makes smaller pages.
const SETTLE_EVERY: Duration = Duration::from_secs(5);

/// How long it rests after an error.
const REST_AFTER_ERROR: Duration = Duration::from_secs(10);

/// How many pages are thrown away in one go, and of how many logs.
const PAGES_PER_TURN: usize = 4096;
const LOGS_PER_TURN: usize = 4096;

/// The threads' owner: they end with this.
pub(super) struct Keeper {
    stop: Vec<SyncSender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Keeper {
    /// Errors: [`Error::Failed`].
    pub(super) fn start(
        engine: Arc<Engine>,
        kept: Arc<Kept>,
        journal: Arc<Mutex<Journal>>,
        settler: Arc<Settler>,
        config: &DiskConfig,
        room: Arc<Room>,
    ) -> Result<Self, Error> {
        let cleaner = Cleaner::start(Arc::clone(&engine), Arc::clone(&room))?;
        let spare = Arc::clone(journal.lock().unwrap_or_else(PoisonError::into_inner).spare());
        let (written, dir) = (Arc::clone(&journal), config.dir.clone());
        let rounds = Rounds { engine, kept, journal: written, spare, settler, dir, room, cleaner };
        rounds.look();
        let mut keeper = Self { stop: Vec::new(), threads: Vec::new() };
        keeper.spawn("store-keeper", move |stopped| rounds.run(&stopped))?;
        if let Durability::Interval(every) = config.durability {
            keeper.spawn("store-syncer", move |stopped| sync_every(every, &journal, &stopped))?;
        }
        Ok(keeper)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce(Receiver<()>) + Send + 'static) -> Result<(), Error> {
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || run(stopped));
        let thread = thread.map_err(|error| Error::Failed(format!("no thread to keep the store with: {error}")))?;
        self.stop.push(stop);
        self.threads.push(thread);
        Ok(())
    }
}

/// Until it fails: whoever commits next is told.
fn sync_every(every: Duration, journal: &Mutex<Journal>, stopped: &Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(every) {
        if let Err(error) = sync(journal) {
            tracing::error!(%error, "the store cannot be synced");
            return;
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.clear();
        // A thread that has panicked has said so.
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

struct Rounds {
    engine: Arc<Engine>,
    kept: Arc<Kept>,
    journal: Arc<Mutex<Journal>>,
    spare: Arc<Spare>,
    settler: Arc<Settler>,
    dir: PathBuf,
    room: Arc<Room>,
    cleaner: Cleaner,
}

impl Rounds {
    fn run(&self, stopped: &Receiver<()>) {
        let (mut works, mut rested_until, mut settled) = (true, Instant::now(), None::<Instant>);
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK_EVERY) {
            self.look();
            if Instant::now() < rested_until {
                continue;
            }
            let rests = settled.is_some_and(|settled| settled.elapsed() < SETTLE_EVERY) && !self.room.is_short();
            let settles = !rests && self.settler.unsettled().has_dropped();
            if settles {
                settled = Some(Instant::now());
            }
            let mended = if works { Ok(()) } else { self.engine.reopen_if_failed() };
            let outcome = mended.and_then(|()| if settles { self.settle() } else { Ok(()) });
            match outcome.and_then(|()| self.clear_up(stopped)) {
                Ok(()) => {
                    works = true;
                    self.cleaner.wake_when_due();
                }
                Err(error) => {
                    if std::mem::replace(&mut works, false) {
                        tracing::error!(%error, "what was dropped keeps its room on the disk for now");
                    }
                    rested_until = Instant::now() + REST_AFTER_ERROR;
                }
            }
        }
    }

    /// What was dropped gives its room back when that is settled, also where nobody writes any more.
    fn settle(&self) -> Result<(), Error> {
        self.settler.settle(&mut self.journal.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn look(&self) {
        // In this order: what is written meanwhile counts twice rather than not at all.
        let spent = self.room.spent_bytes();
        let held = self.settler.unsettled().bytes() as u64;
        match free_bytes(&self.dir) {
            Ok(free) => self.room.looked(spent, free, held),
            Err(error) => tracing::warn!(%error, dir = %self.dir.display(), "the disk does not tell its free room"),
        }
        if self.room.is_short() {
            self.spare.remove();
        }
    }

    /// Throws away the pages of dropped logs, until there are none or the store closes.
    fn clear_up(&self, stopped: &Receiver<()>) -> Result<(), Error> {
        let closing = || matches!(stopped.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected));
        loop {
            let logs = self.engine.database()?.dropped(LOGS_PER_TURN)?;
            if logs.is_empty() || closing() {
                return Ok(());
            }
            self.clear_some_of(&logs)?;
        }
    }

    /// Throws away some pages of these logs, in their order.
    fn clear_some_of(&self, logs: &[LogId]) -> Result<(), Error> {
        let Found { pages, places, done, bytes } = Found::of(&*self.engine.database()?, logs)?;
        let left = self.left_without(&places)?;
        // The records before what tells where they are: after a crash, all of it is done again.
        for (segment, left) in &left {
            match left {
                0 => self.remove(*segment),
                _ => self.free(*segment, &places),
            }
        }
        self.engine.database()?.erase(&pages, &left, &done)?;
        self.cleaner.dropped(bytes);
        Ok(())
    }

    /// How many bytes in segments that stay are needed without these.
    fn left_without(&self, places: &[Place]) -> Result<Vec<(u64, u64)>, Error> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut left: BTreeMap<u64, u64> = self.engine.database()?.kept()?.into_iter().collect();
        for place in places {
            left.entry(place.segment).and_modify(|left| *left = left.saturating_sub(u64::from(place.bytes)));
        }
        let touched: BTreeSet<u64> = places.iter().map(|place| place.segment).collect();
        Ok(left.into_iter().filter(|(segment, _)| touched.contains(segment)).collect())
    }

    /// Gives back what those of the records had that are in this segment.
    fn free(&self, segment: u64, places: &[Place]) {
        let here = places.iter().filter(|place| place.segment == segment);
        let records = here.map(|place| (place.offset, u64::from(place.bytes))).collect();
        if let Err(error) = self.kept.free(segment, records) {
            // Not every file system can; then the room comes back with the whole file.
            tracing::debug!(%error, segment, "records cannot be given back to the disk");
        }
    }

    fn remove(&self, segment: u64) {
        if let Err(error) = self.kept.remove(segment) {
            // It is no part of the journal any more, and is thrown away at the next start.
            tracing::warn!(%error, segment, "a file of the journal cannot be removed");
        }
    }
}

/// What is left of dropped logs, or some of it.
#[derive(Default)]
struct Found {
    pages: Vec<[u8; 16]>,
    /// Where records of theirs are that stayed in the journal.
    places: Vec<Place>,
    /// Logs that have no more pages than these.
    done: Vec<LogId>,
    bytes: u64,
}

impl Found {
    fn of(settled: &Keyspaces, logs: &[LogId]) -> Result<Self, Error> {
        let mut found = Self::default();
        for log in logs {
            let left = PAGES_PER_TURN - found.pages.len();
            // Twice, as a page tells its key or its size. It is not read for either.
            let pages = || settled.pages.range(page_key(*log, 0)..=page_key(*log, u64::MAX)).take(left);
            for (page, same) in pages().zip(pages()) {
                let key = page.key().map_err(failed)?;
                let size = same.size().map_err(failed)?;
                if size <= PLACE_BYTES_MAX {
                    found.places.extend(settled.place(&key)?);
                }
                found.pages.extend(<[u8; 16]>::try_from(&*key).ok());
                found.bytes += u64::from(size);
            }
            if found.pages.len() == PAGES_PER_TURN {
                break;
            }
            found.done.push(*log);
        }
        Ok(found)
    }
}
