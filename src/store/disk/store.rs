//! The store itself.

use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::answered::Answered;
use super::commit::{keys_with, prepare};
use super::config::{DiskConfig, Durability};
use super::engine::Engine;
use super::journal::{Journal, journal_dir};
use super::keeper::Keeper;
use super::kept::Kept;
#[cfg(test)]
use super::keyspaces::page_key;
use super::keyspaces::{failed, table_key};
use super::reading::{read_pages, read_recent};
use super::recent::Recent;
use super::recovery::{Recovered, recover};
use super::room::Room;
use super::settler::{Limits, Settler};
use super::unsettled::{Look, Unsettled};
use crate::store::batch::{Batch, LogId, Table};
use crate::store::error::Error;
use crate::store::records::{Gap, Pace, Run, Store};
use crate::store::reservation::{Reservation, Reservations};

/// Keeps everything in a folder. What a commit has written is there after a crash, as its [`DiskConfig`] promises.
pub struct DiskStore {
    // Fields are dropped in this order: the threads end before the database closes.
    _keeper: Keeper,
    settler: Arc<Settler>,
    engine: Arc<Engine>,
    kept: Arc<Kept>,
    /// Held while a commit runs.
    journal: Arc<Mutex<Journal>>,
    answered: Answered,
    recent: Recent,
    room: Arc<Room>,
    reservations: Reservations,
    gaps: Vec<Gap>,
    limits: Limits,
}

impl DiskStore {
    /// Opens the folder, or makes it. Blocks while it reads what is not settled yet (64 MiB, and what one commit more has),
    /// and where each log ends. Where records are missing, [`Store::gaps`] tells.
    ///
    /// Errors: [`Error::InUse`], [`Error::Open`], [`Error::Failed`].
    pub fn open(config: &DiskConfig) -> Result<Self, Error> {
        Self::open_with(config, Limits::USUAL)
    }

    pub(super) fn open_with(config: &DiskConfig, limits: Limits) -> Result<Self, Error> {
        let unusable = |cause: String| Error::Open { dir: config.dir.clone(), cause };
        let engine = Arc::new(Engine::open(config)?);
        let (next_commit, page_ends, kept) = {
            let settled = engine.database()?;
            let read = || Ok((settled.settled()?, settled.page_ends()?, settled.kept()?));
            read().map_err(|error: Error| unusable(error.to_string()))?
        };
        let kept = Arc::new(Kept::expecting(kept.into_iter().map(|(segment, _)| segment)));
        let answered = Answered::open(&config.dir).map_err(|error| unusable(error.to_string()))?;
        let synced = config.durability == Durability::Sync;
        let (mut journal, mut replay) = Journal::open(&journal_dir(&config.dir), next_commit, &kept, synced)
            .map_err(|error| unusable(error.to_string()))?;
        // A commit that was cut short and never answered is not missed by anybody.
        replay.miss_until(answered.noted());
        Journal::forget(&replay.torn).map_err(|error| unusable(error.to_string()))?;
        let recovered = recover(Unsettled::over(page_ends.into_iter()), &replay);
        let Recovered { mut unsettled, gaps, .. } = recovered.map_err(|error| unusable(error.to_string()))?;
        if replay.has_gaps {
            journal.skip_to(answered.noted());
            settle_what_is_left(&engine, &mut journal, &mut unsettled).map_err(|error| unusable(error.to_string()))?;
        }
        drop(replay);
        let (spare, room) = (Arc::clone(journal.spare()), Arc::new(Room::new(config.free_bytes_min)));
        let journal = Arc::new(Mutex::new(journal));
        let settler = Settler::start(Arc::clone(&engine), Arc::clone(&kept), unsettled, Arc::clone(&room), spare)?;
        let settler = Arc::new(settler);
        let (written, settling) = (Arc::clone(&journal), Arc::clone(&settler));
        let _keeper =
            Keeper::start(Arc::clone(&engine), Arc::clone(&kept), written, settling, config, Arc::clone(&room))?;
        let recent = Recent::of(config.recent_bytes());
        let reservations = Reservations::default();
        Ok(Self { _keeper, settler, engine, kept, journal, answered, recent, room, reservations, gaps, limits })
    }

    /// What is known of the room on the disk.
    #[cfg(test)]
    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    /// Files of the journal, and bytes that are not settled.
    #[cfg(test)]
    pub(super) fn journal_size(&self) -> (usize, u64) {
        let journal = self.journal();
        (journal.segments(), journal.bytes())
    }

    /// How many pages a log has.
    #[cfg(test)]
    pub(super) fn pages_of(&self, log: LogId) -> usize {
        let keys = page_key(log, 0)..=page_key(log, u64::MAX);
        self.engine.database().unwrap().pages.range(keys).count()
    }

    /// Waits until everything is settled that is to be.
    #[cfg(test)]
    pub(super) fn wait_until_settled(&self) {
        self.settler.wait();
    }

    /// Has everything settled, and waits for it.
    #[cfg(test)]
    pub(super) fn settle_now(&self) {
        self.settler.wait();
        self.settler.settle(&mut self.journal()).unwrap();
        self.settler.wait();
    }

    /// Reads what is in memory here, and what is not with `pages`, which reads on to the end of a range and tells whether it
    /// came there; `None` if it does.
    fn read_with(
        &self,
        log: LogId,
        range: Range<u64>,
        bytes_max: usize,
        pages: impl Fn(&Range<u64>, &mut Run) -> Option<Result<bool, Error>>,
    ) -> Option<Result<Run, Error>> {
        let mut run = Run { chunks: Vec::new(), end: range.start };
        while run.end < range.end {
            let taken = usize::try_from(run.end - range.start).unwrap_or(usize::MAX);
            let (left, first) = (bytes_max.saturating_sub(taken), run.chunks.is_empty());
            let look = self.settler.unsettled().look(log, &(run.end..range.end), left, first);
            let until = match look {
                Look::Told(Some(more)) => {
                    more.chunks.into_iter().for_each(|bytes| run.push(bytes));
                    return Some(Ok(run));
                }
                // What follows was dropped while we read, or its first record does not fit.
                Look::Told(None) if !first => return Some(Ok(run)),
                Look::Told(None) => return Some(Err(Error::NoRecord { log, position: run.end })),
                Look::PagesUntil(until) => until.min(range.end),
            };
            match pages(&(range.start..until), &mut run)? {
                Ok(true) => {}
                Ok(false) => return Some(Ok(run)),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(run))
    }

    // It is whole between any two lines, so a panic elsewhere leaves it usable.
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// After damage: what is left is settled before anything else is written, so that what is missing stays so.
fn settle_what_is_left(engine: &Engine, journal: &mut Journal, unsettled: &mut Unsettled) -> Result<(), Error> {
    let old = journal.rotate().map_err(unwritten)?;
    let generation = unsettled.generation();
    engine.database()?.settle(&generation, journal.next_commit(), None)?;
    unsettled.settled(&generation);
    old.put_aside().map_err(unwritten)
}

pub(super) fn unwritten(error: std::io::Error) -> Error {
    Error::Failed(error.to_string())
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        if let Err(error) = super::journal::sync(&self.journal) {
            tracing::error!(%error, "the store was closed without a last sync");
        }
    }
}

impl Store for DiskStore {
    fn pace(&self) -> Pace {
        Pace::Blocking
    }

    fn commit(&self, batch: Batch) -> Result<(), Error> {
        let mut journal = self.journal();
        self.settler.settle_in_time(&mut journal, &self.limits)?;
        let changes = prepare(&self.engine, &self.settler.unsettled(), batch)?;
        let bytes = journal.prepare(&changes);
        self.room.spend(bytes);
        let places = journal.commit().map_err(unwritten)?;
        self.answered.note(journal.next_commit()).map_err(unwritten)?;
        self.settler.unsettled_mut().apply_all(changes, places);
        Ok(())
    }

    fn reserve(&self, bytes: u64) -> Result<Reservation, Error> {
        self.reservations.reserve(bytes, |reserved| self.room.check(reserved))
    }

    fn read(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Result<Run, Error> {
        let pages = |pages: &Range<u64>, run: &mut Run| {
            let settled = self.engine.database();
            Some(settled.and_then(|it| read_pages(&it, &self.kept, &self.recent, log, pages, bytes_max, run)))
        };
        let position = range.start;
        let read = self.read_with(log, range, bytes_max, pages).expect("whoever may wait for the disk is told");
        match read {
            // What a dropped log had may go away while it is read.
            Err(Error::Damaged { .. }) if self.settler.unsettled().end(log).is_none() => {
                Err(Error::NoRecord { log, position })
            }
            read => read,
        }
    }

    fn read_now(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Option<Result<Run, Error>> {
        let pages = |pages: &Range<u64>, run: &mut Run| read_recent(&self.recent, log, pages, bytes_max, run).map(Ok);
        self.read_with(log, range, bytes_max, pages)
    }

    fn end(&self, log: LogId) -> Result<Option<u64>, Error> {
        Ok(self.settler.unsettled().end(log))
    }

    fn gaps(&self) -> Vec<Gap> {
        self.gaps.clone()
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let key = table_key(table, key);
        // In this order: what is settled meanwhile is found in both places.
        if let Some(known) = self.settler.unsettled().key(&key) {
            return Ok(known.clone());
        }
        Ok(self.engine.database()?.tables.get(&key).map_err(failed)?.map(Bytes::from))
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, count_max: usize) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let name = table_key(table, &[]);
        let Range { start, end } = keys_with(&name);
        let mut from = after.map_or(Bound::Included(start), |after| Bound::Excluded(table_key(table, after)));
        let mut found = Vec::new();
        loop {
            let wanted = count_max - found.len();
            let (unsettled, until) =
                self.settler.unsettled().some_keys((from.clone(), Bound::Excluded(end.clone())), wanted);
            let to = until.clone().map_or(Bound::Excluded(end.clone()), Bound::Included);
            self.engine.database()?.scan((from.clone(), to.clone()), unsettled, wanted, &mut found)?;
            match until {
                Some(until) if found.len() < count_max => from = Bound::Excluded(until),
                Some(_) | None => break,
            }
        }
        Ok(found.into_iter().map(|(key, value): (Bytes, Bytes)| (key.slice(name.len()..), value)).collect())
    }
}
