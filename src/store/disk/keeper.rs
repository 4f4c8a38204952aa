//! The store's own thread: syncs at intervals, throws away what belonged to dropped logs, and watches the disk fill up.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::cleaner::Cleaner;
use super::commit::id_of;
use super::config::{DiskConfig, Durability};
use super::engine::{DROPPED, Engine, failed, free_bytes, page_key, table_key};
use super::recovery::dropped;
use super::room::Room;
use crate::store::batch::LogId;
use crate::store::error::Error;

/// How often the disk is asked for its room.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How many pages are thrown away in one go, so that commits get their turn.
const PAGES_PER_TURN: usize = 256;

/// How many dropped logs are looked up at a time.
const LOGS_PER_TURN: usize = 64;

/// The thread's owner: it ends with this.
pub(super) struct Keeper {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    room: Arc<Room>,
}

impl Keeper {
    /// Errors: [`Error::Failed`].
    pub(super) fn start(engine: Arc<Engine>, config: &DiskConfig) -> Result<Self, Error> {
        let room = Arc::new(Room::new(config.free_bytes_min));
        let cleaner = Cleaner::start(Arc::clone(&engine), Arc::clone(&room))?;
        let rounds = Rounds { engine, dir: config.dir.clone(), room: Arc::clone(&room), cleaner };
        rounds.look();
        let sync_every = match config.durability {
            Durability::Interval(every) => Some(every),
            Durability::Sync | Durability::Memory => None,
        };
        let (stop, stopped) = sync_channel(1);
        let named = std::thread::Builder::new().name("store-keeper".into());
        let thread = named.spawn(move || rounds.run(&stopped, sync_every));
        let thread = thread.map_err(|error| Error::Failed(format!("no thread to keep the store with: {error}")))?;
        Ok(Self { stop: Some(stop), thread: Some(thread), room })
    }

    /// What is known of the room on the disk.
    pub(super) fn room(&self) -> &Room {
        &self.room
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop = None;
        // A thread that has panicked has said so.
        self.thread.take().map(JoinHandle::join);
    }
}

struct Rounds {
    engine: Arc<Engine>,
    dir: PathBuf,
    room: Arc<Room>,
    cleaner: Cleaner,
}

impl Rounds {
    fn run(&self, stopped: &Receiver<()>, sync_every: Option<Duration>) {
        let mut looked = Instant::now();
        let mut works = true;
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(sync_every.unwrap_or(LOOK_EVERY)) {
            // A store that has failed needs no keeper; whoever commits next is told.
            if works && sync_every.is_some() {
                works = self.reported(self.engine.sync());
            }
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                self.look();
                works = works && self.reported(self.clear_up(stopped));
                if works {
                    self.cleaner.wake_when_due();
                }
            }
        }
    }

    fn reported(&self, outcome: Result<(), Error>) -> bool {
        if let Err(error) = &outcome {
            tracing::error!(%error, "the store cannot be kept in order");
        }
        outcome.is_ok()
    }

    fn look(&self) {
        // In this order: what is written meanwhile counts twice rather than not at all.
        let (spent, held) = (self.room.spent_bytes(), self.engine.database.write_buffer_size());
        match free_bytes(&self.dir) {
            Ok(free) => self.room.looked(spent, free, held),
            Err(error) => tracing::warn!(%error, dir = %self.dir.display(), "the disk does not tell its free room"),
        }
    }

    /// Throws away the pages of dropped logs, until there are none or the store closes.
    fn clear_up(&self, stopped: &Receiver<()>) -> Result<(), Error> {
        let closing = || matches!(stopped.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected));
        loop {
            let logs = dropped(&self.engine, LOGS_PER_TURN)?;
            if logs.is_empty() {
                return Ok(());
            }
            for log in logs {
                while !self.clear_some_of(log)? {
                    if closing() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Whether that was all of it.
    fn clear_some_of(&self, log: LogId) -> Result<bool, Error> {
        let (mut batch, mut bytes) = (self.engine.unhurried_batch(), 0);
        // Twice, as a page tells its key or its size. It is not read for either.
        let pages = || self.engine.pages.range(page_key(log, 0)..=page_key(log, u64::MAX)).take(PAGES_PER_TURN);
        for (page, same) in pages().zip(pages()) {
            batch.remove(&self.engine.pages, page.key().map_err(failed)?);
            bytes += u64::from(same.size().map_err(failed)?);
        }
        let all = batch.len() < PAGES_PER_TURN;
        if all {
            batch.remove(&self.engine.tables, table_key(DROPPED, &id_of(log)));
        }
        self.engine.commit_unhurried(batch)?;
        self.cleaner.dropped(bytes);
        Ok(all)
    }
}
