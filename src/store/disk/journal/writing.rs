//! The journal as files: the current segment, those before it, and the spare.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::frame::{Change, Frame, HEAD};
use super::replay::{Reader, Replay, Torn};
use super::segment::{Segment, segments_in};
use super::spare::SpareSegment;
use crate::store::disk::private;
use crate::store::disk::retained::{RecordLocation, RetainedSegments};
use crate::store::error::{Cause, Error};
use crate::store::obstacle::Obstacle;
use crate::sync::lock;

/// Extension of a damaged segment that was moved out of the way.
pub(super) const DAMAGED: &str = "damaged";

/// The open journal.
#[derive(Debug)]
pub(in crate::store::disk) struct Journal {
    dir: PathBuf,
    segment: Segment,
    spare: Arc<SpareSegment>,
    /// True if each commit is synced before it is acknowledged.
    synced: bool,
    frame: Frame,
    next_commit: u64,
    /// Earlier segments that are not flushed, in order.
    before: Vec<PathBuf>,
    /// Their size.
    before_bytes: u64,
    /// Set after a failed write or sync: the content of the disk is unknown then.
    failed: bool,
}

/// Segments that nothing is written to any more; released once they are flushed.
#[derive(Debug, Default)]
pub(in crate::store::disk) struct SealedSegments {
    paths: Vec<PathBuf>,
    newest: Option<SealedSegment>,
    /// The number of the segment after the current one.
    next: u64,
}

#[derive(Debug)]
struct SealedSegment {
    number: u64,
    path: PathBuf,
    bytes: u64,
}

impl Journal {
    /// Reads the commits from `next_commit` on, which are not flushed, and begins a segment. Notes the files of `retained`
    /// segments, which are flushed. With `synced`, each commit is synced before it is acknowledged.
    pub(in crate::store::disk) fn open(
        dir: &Path,
        next_commit: u64,
        retained: &RetainedSegments,
        synced: bool,
    ) -> Result<(Self, Replay), Cause> {
        private::create_folder(dir)?;
        if let Some(parent) = dir.parent() {
            File::open(parent)?.sync_all()?;
        }
        let segments = segments_in(dir)?;
        let mut reader = Reader::from(next_commit);
        let (mut before, mut before_bytes, mut unneeded) = (Vec::new(), 0, Vec::new());
        for (name, path) in &segments {
            if retained.found(name.number, path) {
                continue;
            }
            let failed = |source| Cause::File { path: path.clone(), source };
            let bytes = Bytes::from(fs::read(path).map_err(failed)?);
            match reader.read(&bytes, name.salt, path) {
                Some(needed) => {
                    // It may not have been synced yet, and is relied on from now on.
                    File::open(path).and_then(|file| file.sync_data()).map_err(failed)?;
                    before.push(path.clone());
                    before_bytes += needed;
                }
                None => unneeded.push(path.clone()),
            }
        }
        let replay = reader.replay;
        // Retained files may be missing; their numbers are still in use.
        let last = segments.last().map_or(0, |(name, _)| name.number).max(retained.last());
        let number = last + 1;
        let spare = Arc::new(SpareSegment::new(dir, synced));
        let segment = spare.begin_in(number, unneeded)?;
        let journal = Self {
            dir: dir.to_owned(),
            segment,
            spare,
            synced,
            frame: Frame::default(),
            next_commit: replay.next_commit,
            before,
            before_bytes,
            failed: false,
        };
        Ok((journal, replay))
    }

    /// Prepares a commit and returns its size.
    pub(in crate::store::disk) fn prepare(&mut self, changes: &[Change]) -> u64 {
        self.frame.fill(changes, self.next_commit, self.segment.name.salt);
        self.frame.length()
    }

    /// Writes what was prepared, and returns the locations of its large records in order. After an error nothing more is
    /// written. Errors: [`Error::Journal`].
    pub(in crate::store::disk) fn commit(&mut self) -> Result<Vec<RecordLocation>, Error> {
        self.write_frame().map_err(|source| self.error(source))
    }

    fn write_frame(&mut self) -> io::Result<Vec<RecordLocation>> {
        if self.failed {
            return Err(io::Error::other("an earlier write or sync failed"));
        }
        self.failed = true;
        let begins = self.segment.bytes();
        self.segment.write(&self.frame)?;
        if self.synced {
            self.file().sync_data()?;
        }
        self.failed = false;
        self.next_commit += 1;
        let locations = self.frame.large(self.segment.name.number, begins).collect();
        self.frame.clear();
        Ok(locations)
    }

    /// Syncs every commit. After an error nothing more is written. Errors: [`Error::Journal`].
    pub(in crate::store::disk) fn sync(&mut self) -> Result<(), Error> {
        let synced = self.file().sync_data();
        self.failed |= synced.is_err();
        synced.map_err(|source| self.error(source))
    }

    /// Adds the journal's directory to an I/O error.
    pub(in crate::store::disk) fn error(&self, source: io::Error) -> Error {
        Error::Journal { path: self.dir.clone(), source }
    }

    /// Returns the spare segment.
    pub(in crate::store::disk) fn spare(&self) -> &Arc<SpareSegment> {
        &self.spare
    }

    /// Returns the current file.
    fn file(&self) -> &Arc<File> {
        self.segment.file()
    }

    /// Returns the size of the commits that are not flushed.
    pub(in crate::store::disk) fn bytes(&self) -> u64 {
        self.segment.bytes() + self.before_bytes
    }

    /// Returns the number of files that are not flushed.
    pub(in crate::store::disk) fn segment_count(&self) -> usize {
        self.before.len() + 1
    }

    /// Returns the path of the current segment and its commits. Errors: [`Error::Journal`].
    pub(in crate::store::disk) fn unflushed(&self) -> Result<(PathBuf, Vec<u8>), Error> {
        let read = || {
            let mut bytes = vec![0; usize::try_from(self.segment.bytes()).unwrap_or(usize::MAX)];
            File::open(&self.segment.path)?.read_exact_at(&mut bytes, 0).map(|()| bytes)
        };
        let bytes = read().map_err(|source| Error::Journal { path: self.segment.path.clone(), source })?;
        Ok((self.segment.path.clone(), bytes))
    }

    /// Returns the number of the next commit.
    pub(in crate::store::disk) fn next_commit(&self) -> u64 {
        self.next_commit
    }

    /// Skips the numbers before this one, which were used by lost commits.
    pub(in crate::store::disk) fn skip_to(&mut self, commit: u64) {
        self.next_commit = self.next_commit.max(commit);
    }

    /// Erases discarded commits that are intact except for large records, so that they are not replayed when their numbers are
    /// used again.
    pub(in crate::store::disk) fn erase_torn(torn: &[Torn]) -> Result<(), Cause> {
        for torn in torn.iter().filter(|torn| torn.is_in_parts()) {
            let erase = || {
                let file = OpenOptions::new().write(true).open(&torn.path)?;
                file.write_all_at(&[0; HEAD], torn.offset)?;
                file.sync_data()
            };
            erase().map_err(|source| Cause::File { path: torn.path.clone(), source })?;
        }
        Ok(())
    }

    /// Syncs the current segment, begins another one and returns the earlier ones.
    ///
    /// Errors: [`Error::Unavailable`] if no other segment can be begun now, and then the current one goes on;
    /// [`Error::Journal`], after which nothing more is written.
    pub(in crate::store::disk) fn rotate(&mut self) -> Result<SealedSegments, Error> {
        self.sync()?;
        let number = self.segment.name.number + 1;
        let next = self.spare.take(number).map_err(|source| match Obstacle::of(&source) {
            Some(obstacle) => Error::Unavailable { obstacle, source: Cause::File { path: self.dir.clone(), source } },
            None => {
                self.failed = true;
                self.error(source)
            }
        })?;
        let full = std::mem::replace(&mut self.segment, next);
        self.before_bytes = 0;
        let newest = SealedSegment { number: full.name.number, bytes: full.bytes(), path: full.path };
        Ok(SealedSegments { paths: std::mem::take(&mut self.before), newest: Some(newest), next: number + 1 })
    }
}

impl SealedSegments {
    /// Returns the number and size of the newest segment.
    pub(in crate::store::disk) fn newest(&self) -> Option<(u64, u64)> {
        self.newest.as_ref().map(|newest| (newest.number, newest.bytes))
    }

    /// Moves the newest segment to `retained`, before a page refers to it. Errors: [`Error::Journal`].
    pub(in crate::store::disk) fn retain_newest(&mut self, retained: &RetainedSegments) -> Result<(), Error> {
        let Some(newest) = self.newest.take() else { return Ok(()) };
        retained.add(newest.number, &newest.path);
        // It may have the blocks of a longer file.
        let truncated = OpenOptions::new().write(true).open(&newest.path).and_then(|file| file.set_len(newest.bytes));
        truncated.map_err(|source| Error::Journal { path: newest.path, source })
    }

    /// Makes one of the flushed files the next spare and removes the others; removes all without a `spare`.
    pub(in crate::store::disk) fn recycle(self, spare: Option<&SpareSegment>) -> io::Result<()> {
        let number = self.next;
        let unneeded: Vec<PathBuf> = self.paths().collect();
        match spare {
            Some(spare) => spare.prepare(number, unneeded),
            None => unneeded.iter().try_for_each(fs::remove_file),
        }
    }

    /// Renames the files, which are damaged, so that they can be examined.
    pub(in crate::store::disk) fn quarantine(self) -> io::Result<()> {
        self.paths().try_for_each(|path| fs::rename(&path, path.with_extension(DAMAGED)))
    }

    fn paths(self) -> impl Iterator<Item = PathBuf> {
        self.paths.into_iter().chain(self.newest.map(|newest| newest.path))
    }
}

/// Syncs every commit, without holding up further commits. After an error nothing more is written. Errors:
/// [`Error::Journal`].
pub(in crate::store::disk) fn sync(journal: &Mutex<Journal>) -> Result<(), Error> {
    let file = Arc::clone(lock(journal).file());
    file.sync_data().map_err(|source| {
        let mut journal = lock(journal);
        journal.failed = true;
        journal.error(source)
    })
}

/// Reads the commits from `next_commit` on, and changes nothing. Notes the files of `retained` segments.
pub(in crate::store::disk) fn replay_of(
    dir: &Path,
    next_commit: u64,
    retained: &RetainedSegments,
) -> Result<Replay, Cause> {
    let mut reader = Reader::from(next_commit);
    for (name, path) in segments_in(dir).map_err(|source| Cause::File { path: dir.to_owned(), source })? {
        if !retained.found(name.number, &path) {
            let bytes = fs::read(&path).map_err(|source| Cause::File { path: path.clone(), source })?;
            reader.read(&bytes.into(), name.salt, &path);
        }
    }
    Ok(reader.replay)
}

/// Returns the directory of a store's journal.
pub(in crate::store::disk) fn journal_dir(store: &Path) -> PathBuf {
    store.join("journal")
}
