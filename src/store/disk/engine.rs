//! fjall, as this store uses it: its keyspaces, our keys, its errors in our words.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bytes::{BufMut, Bytes};
use fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

use super::ahead::Ahead;
use super::answered::Answered;
use super::config::{DiskConfig, Durability};
use super::journal;
use super::salvage::{Salvaged, salvage};
use crate::store::batch::{LogId, Table};
use crate::store::error::Error;

/// How much of each keyspace is in memory before it is written out. Two of them may wait at a time.
const MEMTABLE_BYTES: u64 = 16 * 1024 * 1024;

/// How much of a keyspace may be in memory when a commit is over: less than what has fjall see to it on its own.
pub(super) const ROTATE_BYTES: u64 = 12 * 1024 * 1024;

/// Values of this size stand in files of their own kind, so that reorganising keys does not copy them.
const SEPARATE_BYTES: u32 = 4 * 1024;

/// Which part of the files with values is written anew when a fourth of one was removed: all, or some would keep what was
/// removed for ever. What is left of them is on the disk twice meanwhile.
const RENEWED_PART: f32 = 1.0;

/// How much of the journal may be on disk; it is read at the start.
const JOURNAL_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// What the journal holds of an item besides its value: its key and its lengths, about.
const ITEM_BYTES: u64 = 48;

/// Descriptors for files that are read, whatever the number of logs.
const FILES_MAX: usize = 256;

/// Where the pages of each log end.
pub(super) const ENDS: Table = Table("_ends");

/// Logs that were dropped and still have pages.
pub(super) const DROPPED: Table = Table("_dropped");

/// The open database.
pub(super) struct Engine {
    pub(super) database: Database,
    pub(super) tables: Keyspace,
    pub(super) tail: Keyspace,
    pub(super) pages: Keyspace,
    durability: Durability,
    answered: Answered,
    /// Held by whoever writes to the journal.
    ahead: Mutex<Ahead>,
    // Dropped last: then the next one may open the folder.
    _claim: File,
}

impl Engine {
    /// Opens the folder, and tells what is known of that which its journal has lost. Errors: [`Error::InUse`],
    /// [`Error::Open`].
    pub(super) fn open(config: &DiskConfig) -> Result<(Self, Salvaged), Error> {
        let unusable = |cause| Error::Open { dir: config.dir.clone(), cause };
        let claim = claim(&config.dir).map_err(|error| unusable(error.to_string()))?;
        let claim = claim.ok_or_else(|| Error::InUse { dir: config.dir.clone() })?;
        // Only who has the claim may mend anything.
        let checked = journal::check(&config.dir).map_err(|error| unusable(error.to_string()))?;
        for (file, bytes) in &checked.damaged {
            tracing::error!(file = %file.display(), ?bytes, "the journal is damaged: what these bytes held is lost");
        }
        let engine = Self::opened(config, claim).map_err(|error| unusable(cause_of(&error)))?;
        let mut lost = checked.cut_out;
        // A commit that was cut short and never answered is not missed by anybody.
        lost.extend(engine.answered.compare(engine.database.seqno(), checked.torn).then_some(checked.cut_off));
        let lost = salvage(&lost.concat());
        for key in &lost.keys {
            let key = String::from_utf8_lossy(key).replace('\0', " ");
            tracing::error!(key, "the journal is damaged: a change of this key is lost");
        }
        Ok((engine, lost))
    }

    fn opened(config: &DiskConfig, claim: File) -> Result<Self, fjall::Error> {
        let answered = Answered::open(&config.dir)?;
        let database = Database::builder(&config.dir)
            .cache_size(config.cache_bytes - config.recent_bytes())
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .max_cached_files(Some(FILES_MAX))
            // The writer is one thread, and so is whoever clears up behind it.
            .worker_threads(1)
            .open()?;
        let plain = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let separate = KvSeparationOptions::default().separation_threshold(SEPARATE_BYTES).age_cutoff(RENEWED_PART);
        let tables = database.keyspace("tables", plain)?;
        let tail = database.keyspace("tail", plain)?;
        let pages = database.keyspace("pages", || plain().with_kv_separation(Some(separate)))?;
        let ahead = Mutex::new(Ahead::of(&config.dir));
        Ok(Self { database, tables, tail, pages, durability: config.durability, answered, ahead, _claim: claim })
    }

    /// Commits a batch of [`Engine::batch`] with values of so many bytes. Errors: [`Error::Failed`].
    pub(super) fn commit(&self, batch: fjall::OwnedWriteBatch, bytes: u64) -> Result<(), Error> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if self.durability == Durability::Sync {
            ahead.expect(bytes + batch.len() as u64 * ITEM_BYTES);
        }
        batch.commit().map_err(failed)?;
        drop(ahead);
        self.answered.note(self.database.visible_seqno()).map_err(|error| Error::Failed(error.to_string()))?;
        self.write_out()
    }

    /// Has fjall write out what it holds of a keyspace in memory once that is much; returns at once. Left to itself, fjall
    /// asks its worker for it at each commit until the worker comes to it, and with a thousand such messages unread, the
    /// worker waits for room among them itself, for ever: nothing is written out any more. To be deleted when fjall asks
    /// once (3.1.13 does not). Errors: [`Error::Failed`].
    pub(super) fn write_out(&self) -> Result<(), Error> {
        for keyspace in [&self.tables, &self.tail, &self.pages] {
            if keyspace.tree.active_memtable().size() > ROTATE_BYTES {
                keyspace.rotate_memtable().map_err(failed)?;
            }
        }
        Ok(())
    }

    /// A batch whose commit returns when it is as durable as was promised.
    pub(super) fn batch(&self) -> fjall::OwnedWriteBatch {
        self.database.batch().durability(Some(match self.durability {
            Durability::Sync => PersistMode::SyncData,
            Durability::Interval(_) | Durability::Memory => PersistMode::Buffer,
        }))
    }

    /// A batch that need not be on the disk when its commit returns.
    pub(super) fn unhurried_batch(&self) -> fjall::OwnedWriteBatch {
        self.database.batch().durability(Some(PersistMode::Buffer))
    }

    /// Commits a batch of [`Engine::unhurried_batch`]. Errors: [`Error::Failed`].
    pub(super) fn commit_unhurried(&self, batch: fjall::OwnedWriteBatch) -> Result<(), Error> {
        let _alone = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        batch.commit().map_err(failed)?;
        self.write_out()
    }

    /// Has everything on the disk that was committed. Errors: [`Error::Failed`].
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.database.persist(PersistMode::SyncData).map_err(failed)
    }
}

/// Claims a folder for this process, and makes it if it is not there; `None` if another process has it.
fn claim(dir: &Path) -> std::io::Result<Option<File>> {
    std::fs::create_dir_all(dir)?;
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join("in-use"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The key of a page.
pub(super) fn page_key(log: LogId, start: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&log.0.to_be_bytes());
    key[8..].copy_from_slice(&start.to_be_bytes());
    key
}

/// The position in the key of a page.
pub(super) fn page_start(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.get(8..)?.first_chunk()?))
}

/// The key of a table's key: the table's name, a zero, the key.
pub(super) fn table_key(table: Table, key: &[u8]) -> Bytes {
    let mut whole = Vec::with_capacity(table.0.len() + 1 + key.len());
    whole.put_slice(table.0.as_bytes());
    whole.put_u8(0);
    whole.put_slice(key);
    whole.into()
}

/// Free bytes on the disk that holds the folder, for those who are not root.
pub(super) fn free_bytes(dir: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(dir)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

pub(super) fn failed(error: fjall::Error) -> Error {
    Error::Failed(cause_of(&error))
}

/// What went wrong, for a person.
pub(super) fn cause_of(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => error.to_string(),
        fjall::Error::Poisoned => "an earlier write or sync failed".to_owned(),
        fjall::Error::Storage(fjall::LsmError::ChecksumMismatch { .. }) => "a checksum does not fit".to_owned(),
        error => format!("{error:?}"),
    }
}
