//! Copies of an open store, made while it is written to.
//!
//! The state of one moment is frozen under the lock of the journal, after everything before it was flushed: the few commits that
//! are left in the journal, and the lists of the database's files. These files never change, and none is removed while the copy
//! runs. So commits wait only while the rest of the journal is read, and the copy holds what was acknowledged before it began.
//!
//! The marker of the copy says that it is incomplete until all of it is on the disk; such a folder is never opened.

mod copying;
mod error;
mod requests;
mod target;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::acknowledged::Acknowledged;
use super::engine::Engine;
use super::flusher::Flusher;
use super::folder;
use super::journal::{Journal, journal_dir};
use super::keyspaces::Keyspaces;
use super::manifests::{self, BLOBS, List, TABLES};
use super::private;
use super::retained::RetainedSegments;
use crate::store::error::{Cause, Error};
use crate::sync::lock;
use copying::{Copier, allocated_bytes};
pub use error::BackupError;
pub(super) use requests::answer_requests;
pub use requests::{BackupProgress, BackupRequest};
use target::Target;

/// Number of tries to find a moment at which no compaction interferes.
const TRIES: usize = 100;

/// The result of a backup.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BackupOutcome {
    /// Number of copied files with content.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Files that were damaged in the store before they were copied, and are so in the copy.
    pub damaged: Vec<PathBuf>,
}

/// The parts of an open store that a backup reads.
#[derive(Clone)]
pub(super) struct BackupSource {
    pub(super) dir: PathBuf,
    pub(super) engine: Arc<Engine>,
    pub(super) flusher: Arc<Flusher>,
    pub(super) journal: Arc<Mutex<Journal>>,
    pub(super) retained: Arc<RetainedSegments>,
    pub(super) acknowledged: Arc<Acknowledged>,
    /// Free space to leave on the disk of the store.
    pub(super) free_bytes_min: u64,
}

/// The state of a store at one moment.
struct Frozen {
    /// The number after the last acknowledged commit.
    next_commit: u64,
    /// The segment of the journal with the commits that are not flushed.
    segment: (PathBuf, Vec<u8>),
    lists: Vec<List>,
    /// Retained segments of the journal.
    retained: Vec<PathBuf>,
}

impl BackupSource {
    /// Copies the store to a folder that is new or empty. `step` is called often, with the bytes done and all bytes; an error
    /// of it ends the copy. Blocks until the copy is on the disk.
    pub(super) fn copy_to(
        &self,
        target: &Path,
        step: &mut dyn FnMut(u64, u64) -> Result<(), BackupError>,
    ) -> Result<BackupOutcome, BackupError> {
        let target = Target::check(target, &self.dir)?;
        // Keeps the records of dropped streams where they are.
        let _removals = self.engine.hold_removals();
        let (frozen, _pinned) = self.freeze()?;
        target.check_space(frozen.bytes(), self.free_bytes_min)?;
        let mut copier = Copier::new(frozen.bytes(), step);
        target.create()?;
        self.fill(&frozen, target.path(), &mut copier)?;
        folder::mark_whole(target.path())?;
        Ok(copier.outcome())
    }

    /// Returns the state of a moment after the call, and what keeps its files from being removed.
    fn freeze(&self) -> Result<(Frozen, impl Sized + use<>), BackupError> {
        // Most of it without the lock, as this may take a while.
        self.flusher.wait();
        self.flusher.flush(&mut lock(&self.journal))?;
        self.flusher.wait();
        for _ in 0..TRIES {
            // No flush begins while it is held, and one that has begun does not need it.
            let journal = lock(&self.journal);
            self.flusher.wait();
            if !self.flusher.is_idle()? {
                return Err(Error::FlushFailing.into());
            }
            let database = self.engine.database()?;
            if let Some((lists, pinned)) = self.freeze_lists(&database)? {
                let retained = database.retained()?.into_iter().map(|(segment, _)| segment);
                let frozen = Frozen {
                    next_commit: self.acknowledged.next_commit(),
                    segment: journal.unflushed()?,
                    lists,
                    retained: retained.filter_map(|segment| self.retained.path_of(segment)).collect(),
                };
                return Ok((frozen, pinned));
            }
        }
        Err(BackupError::TooBusy)
    }

    /// Returns the lists of the database's files; `None` if they have changed meanwhile.
    fn freeze_lists(&self, database: &Keyspaces) -> Result<Option<(Vec<List>, impl Sized + use<>)>, BackupError> {
        let (pinned, numbers) = database.pin_files();
        let lists: Result<Vec<Option<List>>, Cause> =
            manifests::keyspaces(&self.dir)?.iter().map(|keyspace| manifests::list_of(keyspace)).collect();
        // A list that is replaced may be gone before it is read.
        let Ok(lists) = lists else { return Ok(None) };
        let lists: Vec<List> = lists.into_iter().flatten().collect();
        let same = |(name, number): &(PathBuf, u64)| {
            lists.iter().any(|list| list.keyspace.file_name() == name.file_name() && list.number == *number)
        };
        Ok(numbers.iter().all(same).then_some((lists, pinned)))
    }

    fn fill(&self, frozen: &Frozen, target: &Path, copier: &mut Copier<'_>) -> Result<(), BackupError> {
        let journal = journal_dir(target);
        folders(&journal)?;
        let named = |path: &Path| journal.join(path.file_name().unwrap_or_default());
        folder::write(&named(&frozen.segment.0), &frozen.segment.1)?;
        for segment in &frozen.retained {
            copier.copy(segment, &named(segment), None)?;
        }
        folder::sync_folder(&journal)?;
        for list in &frozen.lists {
            let keyspace = target.join(folder::KEYSPACES).join(list.keyspace.file_name().unwrap_or_default());
            let parts = [TABLES, BLOBS].map(|part| keyspace.join(part));
            parts.iter().try_for_each(|part| folders(part))?;
            for file in &list.files {
                let inside = file.path.strip_prefix(&list.keyspace).unwrap_or(&file.path);
                copier.copy(&file.path, &keyspace.join(inside), Some(file.checksum))?;
            }
            folder::write(&keyspace.join(format!("v{}", list.number)), &list.bytes)?;
            folder::write(&keyspace.join("current"), &list.current)?;
            parts.iter().chain([&keyspace]).try_for_each(|part| folder::sync_folder(part))?;
        }
        folder::sync_folder(&target.join(folder::KEYSPACES))?;
        folder::write_engine_files(target)?;
        Acknowledged::write(target, frozen.next_commit).map_err(|source| folder::at(target, source))?;
        Ok(folder::sync_folder(target)?)
    }
}

impl Frozen {
    /// Returns the space that a copy takes.
    fn bytes(&self) -> u64 {
        let listed = self.lists.iter().flat_map(|list| list.files.iter().map(|file| &file.path));
        let files = listed.chain(&self.retained).map(|path| allocated_bytes(path));
        self.segment.1.len() as u64 + files.sum::<u64>()
    }
}

fn folders(path: &Path) -> Result<(), BackupError> {
    private::create_folder(path).map_err(|source: io::Error| folder::at(path, source).into())
}
