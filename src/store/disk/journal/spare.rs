//! The segment that is next, made ready while the one before is written to.
//!
//! To have a file in a folder for good takes as long as many commits, so whoever settles does it for those who commit. It is
//! the file of a segment that is settled, if there is one: its blocks are on the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::segment::{Name, Segment};

/// A longer file is not used again.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// At most one segment that nothing is written to yet.
#[derive(Debug)]
pub(in crate::store::disk) struct Spare {
    dir: PathBuf,
    synced: bool,
    ready: Mutex<Option<Segment>>,
}

impl Spare {
    /// `synced` if every frame will be.
    pub(in crate::store::disk) fn new(dir: &Path, synced: bool) -> Self {
        Self { dir: dir.to_owned(), synced, ready: Mutex::new(None) }
    }

    /// The segment of this number, which is begun now if it is not ready. Errors: what the disk says.
    pub(super) fn take(&self, number: u64) -> io::Result<Segment> {
        let ready = self.ready().take();
        ready.filter(|segment| segment.name.number == number).map_or_else(|| self.begin(number, None), Ok)
    }

    /// Makes a segment ready, in one of the files that are not needed any more; the others go. Errors: what the disk says.
    pub(super) fn prepare(&self, number: u64, unneeded: Vec<PathBuf>) -> io::Result<()> {
        let segment = self.begin_in(number, unneeded)?;
        *self.ready() = Some(segment);
        Ok(())
    }

    /// Begins a segment in one of the files that are not needed any more; the others go. Errors: what the disk says.
    pub(super) fn begin_in(&self, number: u64, mut unneeded: Vec<PathBuf>) -> io::Result<Segment> {
        let fits = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.len() <= BYTES_MAX);
        let reused = unneeded.iter().position(fits).map(|at| unneeded.swap_remove(at));
        let segment = self.begin(number, reused.as_deref())?;
        unneeded.iter().try_for_each(fs::remove_file)?;
        Ok(segment)
    }

    /// Throws away what is ready, for the room that it takes.
    pub(in crate::store::disk) fn remove(&self) {
        if let Some(segment) = self.ready().take()
            && let Err(error) = fs::remove_file(&segment.path)
        {
            // It is used or thrown away at the next start.
            tracing::debug!(%error, "a part of the journal that is not needed cannot be removed");
        }
    }

    fn begin(&self, number: u64, unneeded: Option<&Path>) -> io::Result<Segment> {
        // Nobody can know it, so nobody can put a frame into a record.
        let (salt, _) = Uuid::new_v4().as_u64_pair();
        Segment::begin(&self.dir, Name { number, salt }, unneeded, self.synced)
    }

    fn ready(&self) -> MutexGuard<'_, Option<Segment>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
