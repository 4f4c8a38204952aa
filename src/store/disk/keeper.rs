//! The store's own thread: syncs at intervals, throws away what belonged to dropped logs, and watches the disk fill up.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::commit::id_of;
use super::config::{DiskConfig, Durability};
use super::engine::{DROPPED, Engine, failed, free_bytes, page_key, table_key};
use super::recovery::dropped;
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
    free: Arc<AtomicU64>,
}

impl Keeper {
    /// Errors: [`Error::Failed`].
    pub(super) fn start(engine: Arc<Engine>, config: &DiskConfig) -> Result<Self, Error> {
        let free = Arc::new(AtomicU64::new(u64::MAX));
        let mut rounds = Rounds { engine, dir: config.dir.clone(), free: Arc::clone(&free) };
        rounds.look();
        let sync_every = match config.durability {
            Durability::Interval(every) => Some(every),
            Durability::Sync | Durability::Memory => None,
        };
        let (stop, stopped) = sync_channel(1);
        let named = std::thread::Builder::new().name("store-keeper".into());
        let thread = named.spawn(move || rounds.run(&stopped, sync_every));
        let thread = thread.map_err(|error| Error::Failed(format!("no thread to keep the store with: {error}")))?;
        Ok(Self { stop: Some(stop), thread: Some(thread), free })
    }

    /// What was free on the disk at the last look.
    pub(super) fn free_bytes(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
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
    free: Arc<AtomicU64>,
}

impl Rounds {
    fn run(&mut self, stopped: &Receiver<()>, sync_every: Option<Duration>) {
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
            }
        }
    }

    fn reported(&self, outcome: Result<(), Error>) -> bool {
        if let Err(error) = &outcome {
            tracing::error!(%error, "the store cannot be kept in order");
        }
        outcome.is_ok()
    }

    fn look(&mut self) {
        match free_bytes(&self.dir) {
            Ok(free) => self.free.store(free, Ordering::Relaxed),
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
        let mut batch = self.engine.unhurried_batch();
        let pages = self.engine.pages.range(page_key(log, 0)..=page_key(log, u64::MAX)).take(PAGES_PER_TURN);
        for page in pages {
            batch.remove(&self.engine.pages, page.key().map_err(failed)?);
        }
        let all = batch.len() < PAGES_PER_TURN;
        if all {
            batch.remove(&self.engine.tables, table_key(DROPPED, &id_of(log)));
        }
        batch.commit().map_err(failed)?;
        Ok(all)
    }
}
