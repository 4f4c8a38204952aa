//! The journal as files: one that is written to, those before it, and the next.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::frame::{Change, Frame, HEAD};
use super::replay::{Reading, Replay, Torn};
use super::segment::{Segment, segments_in};
use super::spare::Spare;
use crate::store::disk::kept::{Kept, Place};

/// The end of the name under which a damaged segment is kept.
pub(super) const DAMAGED: &str = "damaged";

/// The open journal.
#[derive(Debug)]
pub(in crate::store::disk) struct Journal {
    segment: Segment,
    spare: Arc<Spare>,
    /// Whether each commit is on the disk before it is answered.
    synced: bool,
    frame: Frame,
    next_commit: u64,
    /// Segments before this one that are not settled, in their order.
    before: Vec<PathBuf>,
    /// What those hold.
    before_bytes: u64,
    /// Whether a write or a sync has failed: nobody knows what is on the disk then.
    failed: bool,
}

/// Segments that a newer one has followed: to be retired when what they hold is settled.
#[derive(Debug, Default)]
pub(in crate::store::disk) struct Old {
    paths: Vec<PathBuf>,
    newest: Option<OldSegment>,
    /// The number of the segment that comes after the one which has followed.
    next: u64,
}

#[derive(Debug)]
struct OldSegment {
    number: u64,
    path: PathBuf,
    bytes: u64,
}

impl Journal {
    /// Reads what is not settled, which are the commits from `settled` on, and begins a segment. Those that stay for good are
    /// settled: they are told `kept`. `synced` if each commit is to be on the disk before it is answered. Errors: what the
    /// disk says.
    pub(in crate::store::disk) fn open(
        dir: &Path,
        settled: u64,
        kept: &Kept,
        synced: bool,
    ) -> io::Result<(Self, Replay)> {
        fs::create_dir_all(dir)?;
        if let Some(parent) = dir.parent() {
            File::open(parent)?.sync_all()?;
        }
        let segments = segments_in(dir)?;
        let mut reading = Reading::from(settled);
        let (mut before, mut before_bytes, mut unneeded) = (Vec::new(), 0, Vec::new());
        for (name, path) in &segments {
            if kept.found(name.number, path) {
                continue;
            }
            let bytes = Bytes::from(fs::read(path)?);
            match reading.segment(&bytes, name.salt, path) {
                Some(held) => {
                    // What is read may be in the system only, and others rely on it from now on.
                    File::open(path)?.sync_data()?;
                    before.push(path.clone());
                    before_bytes += held;
                }
                None => unneeded.push(path.clone()),
            }
        }
        let replay = reading.replay;
        // Files may be missing that somebody relies on.
        let last = segments.last().map_or(0, |(name, _)| name.number).max(kept.last());
        let number = last + 1;
        let spare = Arc::new(Spare::new(dir, synced));
        let segment = spare.begin_in(number, unneeded)?;
        let (frame, next_commit) = (Frame::default(), replay.next_commit);
        Ok((Self { segment, spare, synced, frame, next_commit, before, before_bytes, failed: false }, replay))
    }

    /// Prepares a commit, and tells how many bytes it has.
    pub(in crate::store::disk) fn prepare(&mut self, changes: &[Change]) -> u64 {
        self.frame.fill(changes, self.next_commit, self.segment.name.salt);
        self.frame.length()
    }

    /// Writes what was prepared. Returns where large records are, in their order. Errors: what the disk says; from then
    /// on nothing is written.
    pub(in crate::store::disk) fn commit(&mut self) -> io::Result<Vec<Place>> {
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
        let places = self.frame.large(self.segment.name.number, begins).collect();
        self.frame.empty();
        Ok(places)
    }

    /// Has everything on the disk that was committed. Errors: what the disk says; from then on nothing is written.
    pub(in crate::store::disk) fn sync(&mut self) -> io::Result<()> {
        let synced = self.file().sync_data();
        self.failed |= synced.is_err();
        synced
    }

    /// The segment that is next.
    pub(in crate::store::disk) fn spare(&self) -> &Arc<Spare> {
        &self.spare
    }

    /// What is written to at the moment.
    fn file(&self) -> &Arc<File> {
        self.segment.file()
    }

    /// What is not settled.
    pub(in crate::store::disk) fn bytes(&self) -> u64 {
        self.segment.bytes() + self.before_bytes
    }

    /// How many files it has.
    pub(in crate::store::disk) fn segments(&self) -> usize {
        self.before.len() + 1
    }

    /// The number of the next commit.
    pub(in crate::store::disk) fn next_commit(&self) -> u64 {
        self.next_commit
    }

    /// Passes over the numbers before this one: they were somebody's.
    pub(in crate::store::disk) fn skip_to(&mut self, commit: u64) {
        self.next_commit = self.next_commit.max(commit);
    }

    /// Makes sure that what is torn and was not missed never is, whatever gets its numbers. Errors: what the disk says.
    pub(in crate::store::disk) fn forget(torn: &[Torn]) -> io::Result<()> {
        for torn in torn.iter().filter(|torn| torn.is_in_parts()) {
            let (path, begins) = &torn.place;
            let file = OpenOptions::new().write(true).open(path)?;
            file.write_all_at(&[0; HEAD], *begins)?;
            file.sync_data()?;
        }
        Ok(())
    }

    /// Begins another segment, and gives those before. What was written is on the disk then. Errors: what the disk says;
    /// from then on nothing is written.
    pub(in crate::store::disk) fn rotate(&mut self) -> io::Result<Old> {
        let was_failed = std::mem::replace(&mut self.failed, true);
        self.file().sync_data()?;
        let number = self.segment.name.number + 1;
        let next = self.spare.take(number)?;
        self.failed = was_failed;
        let full = std::mem::replace(&mut self.segment, next);
        self.before_bytes = 0;
        let newest = OldSegment { number: full.name.number, bytes: full.bytes(), path: full.path };
        Ok(Old { paths: std::mem::take(&mut self.before), newest: Some(newest), next: number + 1 })
    }
}

impl Old {
    /// The number of the newest one, and how much was written to it.
    pub(in crate::store::disk) fn newest(&self) -> Option<(u64, u64)> {
        self.newest.as_ref().map(|newest| (newest.number, newest.bytes))
    }

    /// Keeps the newest one for good; it is told before anybody can be sent there. Errors: what the disk says.
    pub(in crate::store::disk) fn keep_newest(&mut self, kept: &Kept) -> io::Result<()> {
        if let Some(newest) = self.newest.take() {
            kept.add(newest.number, &newest.path);
            // It may have got the blocks of a longer one.
            OpenOptions::new().write(true).open(&newest.path)?.set_len(newest.bytes)?;
        }
        Ok(())
    }

    /// Everything in them is settled: one of the files becomes the segment that is `next`, the others go. Without a place for
    /// that, all of them go. Errors: what the disk says.
    pub(in crate::store::disk) fn retire(self, next: Option<&Spare>) -> io::Result<()> {
        let number = self.next;
        let unneeded: Vec<PathBuf> = self.paths().collect();
        match next {
            Some(next) => next.prepare(number, unneeded),
            None => unneeded.iter().try_for_each(fs::remove_file),
        }
    }

    /// The same where something was damaged: the files stay beside the journal, for whoever wants to look.
    pub(in crate::store::disk) fn put_aside(self) -> io::Result<()> {
        self.paths().try_for_each(|path| fs::rename(&path, path.with_extension(DAMAGED)))
    }

    fn paths(self) -> impl Iterator<Item = PathBuf> {
        self.paths.into_iter().chain(self.newest.map(|newest| newest.path))
    }
}

/// Has everything on the disk that was committed; commits go on meanwhile. Errors: what the disk says; from then on nothing
/// is written.
pub(in crate::store::disk) fn sync(journal: &Mutex<Journal>) -> io::Result<()> {
    let lock = || journal.lock().unwrap_or_else(PoisonError::into_inner);
    let file = Arc::clone(lock().file());
    file.sync_data().inspect_err(|_| lock().failed = true)
}

/// Where the journal of a store is.
pub(in crate::store::disk) fn journal_dir(store: &Path) -> PathBuf {
    store.join("journal")
}
