//! fjall with the folder it works in: who else has that, and how it is opened, also when it has to be opened once more.
//!
//! When fjall's own work fails, such as a compaction on a disk that others have filled, it does nothing any more until it is
//! opened anew; and what any failed write has left on the disk stands there for nothing until then. So who tries again after
//! a failure has it mended first.

use std::fs::{self, File, OpenOptions};
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, TryLockError};
use std::time::Instant;

use super::config::DiskConfig;
use super::copies::{Copies, Held};
use super::keyspaces::{Keyspaces, cause_of};
use crate::store::error::Error;

/// The database, and this process' claim to the folder.
pub(super) struct Engine {
    config: DiskConfig,
    copies: Arc<Copies>,
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
        let copies = Arc::new(Copies::of(&config.dir));
        let keyspaces = open_sound(config, &mut copies.hold()).map_err(unusable)?;
        match keyspaces.are_of_earlier_build() {
            true => Err(unusable("it was written by an earlier build, in a form that is not read any more".to_owned())),
            false => Ok(Self {
                config: config.clone(),
                copies,
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

    /// Asks the database something; once more if that fails and something damaged was written again meanwhile. Errors: those of
    /// the answer, and of [`Self::using`].
    pub(super) fn ask<T>(&self, question: impl FnMut(&Keyspaces) -> Result<T, Error>) -> Result<T, Error> {
        self.ask_as_long_as(|| true, question)
    }

    /// The same, but an answer that fails is one if nobody `needs` another.
    pub(super) fn ask_as_long_as<T>(
        &self,
        needs: impl Fn() -> bool,
        mut question: impl FnMut(&Keyspaces) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let asked = Instant::now();
        let answer = question(&*self.using()?);
        match answer {
            Err(Error::Failed(_) | Error::Damaged { .. }) if needs() && self.copies.restore_since(asked) => {
                question(&*self.using()?)
            }
            answer => answer,
        }
    }

    /// What it has on the disk a second time.
    pub(super) fn copies(&self) -> &Arc<Copies> {
        &self.copies
    }

    /// It is not opened anew as long as this lives: for those who keep a part of it for longer than others can wait.
    pub(super) fn lend(&self) -> MutexGuard<'_, ()> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the database anew if something in it has failed; whoever needs it waits. One that still works is left as it is for
    /// as long as it is lent, or compacts something: nobody is to wait for that.
    ///
    /// Errors: [`Error::Failed`] if it does not work and is lent; [`Error::Open`], and nobody can read what is settled until
    /// this succeeds.
    pub(super) fn mend(&self) -> Result<(), Error> {
        let lent = match self.lent.try_lock() {
            Ok(lent) => Some(lent),
            Err(TryLockError::Poisoned(lent)) => Some(lent.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let asked = Instant::now();
        if let Ok(keyspaces) = self.using() {
            let works = keyspaces.check();
            if works.is_err() || keyspaces.may_be_damaged() {
                self.copies.restore_since(asked);
            }
            if lent.is_none() || works.is_ok() && (keyspaces.is_compacting() || !keyspaces.have_failed()) {
                return works;
            }
        }
        let mut keyspaces = self.keyspaces.write().unwrap_or_else(PoisonError::into_inner);
        let mut copies = self.copies.hold();
        // It has to be closed first.
        *keyspaces = None;
        let unusable = |cause| Error::Open { dir: self.config.dir.clone(), cause };
        *keyspaces = Some(open_sound(&self.config, &mut copies).map_err(unusable)?);
        tracing::info!(dir = %self.config.dir.display(), "the database of the store was opened anew");
        Ok(())
    }
}

/// Opens the database, and has written again what is damaged and keeps it from that. Errors: what is wrong with it.
fn open_sound(config: &DiskConfig, copies: &mut Held<'_>) -> Result<Keyspaces, String> {
    copies.restore_lists().map_err(|error| error.to_string())?;
    let opened = match Keyspaces::open(config) {
        Err(_) if copies.restore() => Keyspaces::open(config),
        opened => opened,
    };
    opened.map_err(|error| cause_of(&error))
}

/// Claims a folder for this process, and makes it if it is not there; `None` if another process has it.
fn claim(dir: &Path) -> std::io::Result<Option<File>> {
    fs::create_dir_all(dir)?;
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join("in-use"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}
