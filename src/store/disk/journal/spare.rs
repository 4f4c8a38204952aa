//! The next segment, prepared while the current one is written to.
//!
//! Creating a file durably takes as long as many commits, so the flusher does it ahead. It reuses the file of a flushed segment
//! if there is one, because its blocks are allocated already.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use uuid::Uuid;

use super::segment::{Name, Segment};
use crate::sync::lock;

/// Size above which a file is not reused.
const REUSED_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// At most one segment that is not written to yet.
#[derive(Debug)]
pub(in crate::store::disk) struct SpareSegment {
    dir: PathBuf,
    synced: bool,
    ready: Mutex<Option<Segment>>,
}

impl SpareSegment {
    /// Creates segments in `dir`; with `synced`, every frame will be synced.
    pub(in crate::store::disk) fn new(dir: &Path, synced: bool) -> Self {
        Self { dir: dir.to_owned(), synced, ready: Mutex::new(None) }
    }

    /// Returns the segment of this number, which is begun now if it was not prepared.
    pub(super) fn take(&self, number: u64) -> io::Result<Segment> {
        let ready = self.ready().take();
        ready.filter(|segment| segment.name.number == number).map_or_else(|| self.begin(number, None), Ok)
    }

    /// Prepares a segment, in one of the unneeded files if possible; removes the others.
    pub(super) fn prepare(&self, number: u64, unneeded: Vec<PathBuf>) -> io::Result<()> {
        let segment = self.begin_in(number, unneeded)?;
        *self.ready() = Some(segment);
        Ok(())
    }

    /// Begins a segment, in one of the unneeded files if possible; removes the others.
    pub(super) fn begin_in(&self, number: u64, mut unneeded: Vec<PathBuf>) -> io::Result<Segment> {
        let fits = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.len() <= REUSED_BYTES_MAX);
        let reused = unneeded.iter().position(fits).map(|at| unneeded.swap_remove(at));
        let segment = self.begin(number, reused.as_deref())?;
        unneeded.iter().try_for_each(fs::remove_file)?;
        Ok(segment)
    }

    /// Removes the prepared segment, to free its space.
    pub(in crate::store::disk) fn remove(&self) {
        if let Some(segment) = self.ready().take()
            && let Err(error) = fs::remove_file(&segment.path)
        {
            // It is reused or removed at the next start.
            tracing::debug!(%error, "cannot remove the spare journal segment");
        }
    }

    fn begin(&self, number: u64, unneeded: Option<&Path>) -> io::Result<Segment> {
        // Random, so that nobody can put a valid frame into a record.
        let (salt, _) = Uuid::new_v4().as_u64_pair();
        Segment::begin(&self.dir, Name { number, salt }, unneeded, self.synced)
    }

    fn ready(&self) -> MutexGuard<'_, Option<Segment>> {
        lock(&self.ready)
    }
}
