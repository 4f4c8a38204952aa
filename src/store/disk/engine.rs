//! fjall with the folder it works in: who else has that, and how it is opened, also when it has to be opened once more.
//!
//! When fjall's own work fails, such as a compaction on a disk that others have filled, it does nothing any more until it is
//! opened anew; and what it was about to write stands on the disk for nothing until then. So whoever has seen it fail has it
//! opened anew before the next try.

use std::fs::{File, OpenOptions, TryLockError};
use std::ops::Deref;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use super::config::DiskConfig;
use super::keyspaces::{Keyspaces, cause_of};
use crate::store::error::Error;

/// The database, and this process' claim to the folder.
pub(super) struct Engine {
    config: DiskConfig,
    /// `None` where it could not be opened anew.
    keyspaces: RwLock<Option<Keyspaces>>,
    /// Held for as long as somebody keeps a part of it in hand.
    lent: Mutex<()>,
    // Dropped last: then the next one may open the folder.
    _claim: File,
}

/// The database for as long as it takes to ask it something. Nobody asks for a second one meanwhile.
pub(super) struct Using<'a>(RwLockReadGuard<'a, Option<Keyspaces>>);

impl Deref for Using<'_> {
    type Target = Keyspaces;

    fn deref(&self) -> &Keyspaces {
        self.0.as_ref().expect("nobody gets this of a database that is not open")
    }
}

impl Engine {
    /// Opens the folder. Errors: [`Error::InUse`], [`Error::Open`].
    pub(super) fn open(config: &DiskConfig) -> Result<Self, Error> {
        let unusable = |cause| Error::Open { dir: config.dir.clone(), cause };
        let claim = claim(&config.dir).map_err(|error| unusable(error.to_string()))?;
        let claim = claim.ok_or_else(|| Error::InUse { dir: config.dir.clone() })?;
        let keyspaces = Keyspaces::open(config).map_err(|error| unusable(cause_of(&error)))?;
        match keyspaces.are_of_earlier_build() {
            true => Err(unusable("it was written by an earlier build, in a form that is not read any more".to_owned())),
            false => Ok(Self {
                config: config.clone(),
                keyspaces: RwLock::new(Some(keyspaces)),
                lent: Mutex::default(),
                _claim: claim,
            }),
        }
    }

    /// The database, for a moment. Waits while it is opened anew. Errors: [`Error::Failed`] if it could not be.
    pub(super) fn using(&self) -> Result<Using<'_>, Error> {
        let keyspaces = self.keyspaces.read().unwrap_or_else(PoisonError::into_inner);
        match keyspaces.is_some() {
            true => Ok(Using(keyspaces)),
            false => Err(Error::Failed("the database could not be opened again, and the log tells why".to_owned())),
        }
    }

    /// It is not opened anew as long as this lives: for those who take longer than others can wait.
    pub(super) fn lend(&self) -> MutexGuard<'_, ()> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the database and opens it anew; whoever needs it waits. Errors: [`Error::Open`], and nobody can read what is
    /// settled until it succeeds; [`Error::Failed`] while it is lent.
    pub(super) fn open_anew(&self) -> Result<(), Error> {
        let _lent = match self.lent.try_lock() {
            Ok(lent) => lent,
            Err(std::sync::TryLockError::Poisoned(lent)) => lent.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => {
                return Err(Error::Failed("the database is busy and cannot be opened anew yet".to_owned()));
            }
        };
        let mut keyspaces = self.keyspaces.write().unwrap_or_else(PoisonError::into_inner);
        // It has to be closed first.
        *keyspaces = None;
        let unusable = |error| Error::Open { dir: self.config.dir.clone(), cause: cause_of(&error) };
        *keyspaces = Some(Keyspaces::open(&self.config).map_err(unusable)?);
        Ok(())
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
