//! fjall and the directory it works in: one process at a time, and fjall is opened anew after it failed.
//!
//! After a failure of its own work, such as a compaction on a full disk, fjall refuses everything until it is opened anew, and
//! files that a failed write left behind stay on the disk until then. So each retry calls [`Engine::reopen_if_failed`] first.

use std::fs::{self, File};
use std::ops::Deref;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, TryLockError};

use super::availability::Availability;
use super::config::DiskConfig;
use super::folder;
use super::keyspaces::Keyspaces;
use super::manifests;
use super::private;
use crate::store::error::{Cause, Error};
use crate::sync::lock;

/// The format before the current one.
const EARLIER_FORMAT: u32 = 2;

/// The file whose lock shows that a process has the directory open.
pub(super) const IN_USE: &str = "in-use";

/// The database, and the lock on its directory.
pub(super) struct Engine {
    config: DiskConfig,
    /// `None` after the database could not be opened anew.
    keyspaces: RwLock<Option<Keyspaces>>,
    /// Held by a thread that keeps a part of the database open for long.
    pinned: Mutex<()>,
    /// Held while records of dropped logs are removed, and while they must not be.
    removals: Mutex<()>,
    availability: Availability,
    // Dropped last: then the next process may open the directory.
    _directory_lock: File,
}

/// Access to the open database for one operation. A thread must not hold two.
pub(super) struct OpenDatabase<'a>(RwLockReadGuard<'a, Option<Keyspaces>>);

impl Deref for OpenDatabase<'_> {
    type Target = Keyspaces;

    fn deref(&self) -> &Keyspaces {
        self.0.as_ref().expect("only made while the database is open")
    }
}

impl Engine {
    /// Opens the directory. Errors: [`Error::InUse`], [`Error::Open`].
    pub(super) fn open(config: &DiskConfig) -> Result<Self, Error> {
        let unusable = |source| Error::Open { dir: config.dir.clone(), source };
        folder::check(&config.dir).map_err(unusable)?;
        let directory_lock = lock_directory(&config.dir).map_err(unusable)?;
        let directory_lock = directory_lock.ok_or_else(|| Error::InUse { dir: config.dir.clone() })?;
        folder::protect(&config.dir).map_err(unusable)?;
        folder::begin(&config.dir).map_err(unusable)?;
        let keyspaces = open_checked(config).map_err(unusable)?;
        match keyspaces.is_of_earlier_build() {
            true => Err(unusable(folder::format(EARLIER_FORMAT))),
            false => folder::mark(&config.dir).map_err(unusable).map(|()| Self {
                config: config.clone(),
                keyspaces: RwLock::new(Some(keyspaces)),
                pinned: Mutex::default(),
                removals: Mutex::default(),
                availability: Availability::default(),
                _directory_lock: directory_lock,
            }),
        }
    }

    /// Returns the open database; waits while it is opened anew. Errors: [`Error::Database`] if that failed.
    pub(super) fn database(&self) -> Result<OpenDatabase<'_>, Error> {
        let keyspaces = self.keyspaces.read().unwrap_or_else(PoisonError::into_inner);
        match keyspaces.is_some() {
            true => Ok(OpenDatabase(keyspaces)),
            false => Err(Error::Database { dir: self.config.dir.clone(), source: Cause::NotOpen }),
        }
    }

    /// Keeps the records of dropped logs from being removed while the guard lives; waits for a removal that runs.
    pub(super) fn hold_removals(&self) -> MutexGuard<'_, ()> {
        lock(&self.removals)
    }

    /// Returns the right to remove records of dropped logs; `None` while they must not be.
    pub(super) fn try_removal(&self) -> Option<MutexGuard<'_, ()>> {
        match self.removals.try_lock() {
            Ok(removal) => Some(removal),
            Err(TryLockError::Poisoned(removal)) => Some(removal.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Returns the obstacles that parts of the store have met.
    pub(super) fn availability(&self) -> &Availability {
        &self.availability
    }

    /// Probes if files can be opened, and ends an obstacle that is over.
    pub(super) fn probe(&self) {
        self.availability.probe(&self.config.dir.join(IN_USE));
    }

    /// Keeps the database from being opened anew while the guard lives, for callers that hold a keyspace of it for longer than
    /// others can wait.
    pub(super) fn pin(&self) -> MutexGuard<'_, ()> {
        lock(&self.pinned)
    }

    /// Opens the database anew if it has failed; other threads wait meanwhile. One that still works after a failed write is left
    /// alone while it is pinned or compacts, as others cannot wait that long.
    ///
    /// Errors: [`Error::Database`] if it does not work and is pinned; [`Error::Open`], and then nothing can be read from the
    /// database until a later call succeeds.
    pub(super) fn reopen_if_failed(&self) -> Result<(), Error> {
        let unpinned = match self.pinned.try_lock() {
            Ok(unpinned) => Some(unpinned),
            Err(TryLockError::Poisoned(unpinned)) => Some(unpinned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Ok(database) = self.database() {
            let works = database.check();
            if unpinned.is_none() || works.is_ok() && (database.is_compacting() || !database.has_failed()) {
                return works;
            }
        }
        let mut keyspaces = self.keyspaces.write().unwrap_or_else(PoisonError::into_inner);
        // It has to be closed first.
        *keyspaces = None;
        let unusable = |source| Error::Open { dir: self.config.dir.clone(), source };
        *keyspaces = Some(open_checked(&self.config).map_err(unusable)?);
        tracing::info!(dir = %self.config.dir.display(), "opened the store's database anew after a failure");
        Ok(())
    }
}

/// Opens the database unless its lists of files are damaged.
fn open_checked(config: &DiskConfig) -> Result<Keyspaces, Cause> {
    manifests::check(&config.dir)?;
    folder::add_engine_files(&config.dir)?;
    folder::add_keyspaces(&config.dir)?;
    let keyspaces = Keyspaces::open(config)?;
    // Earlier versions kept second copies of the database's files there. They are only taking space.
    fs::remove_dir_all(config.dir.join("copies")).ok();
    Ok(keyspaces)
}

/// Locks a directory for this process and creates it if necessary; `None` if another process holds it.
fn lock_directory(dir: &Path) -> Result<Option<File>, Cause> {
    private::create_folder(dir).map_err(|source| folder::at(dir, source))?;
    let path = dir.join(IN_USE);
    let file = private::writing().open(&path).map_err(|source| folder::at(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(source)) => Err(folder::at(&path, source)),
    }
}
