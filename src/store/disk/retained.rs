//! Segments of the journal that are retained because large records fill them: such records are written only once.
//!
//! The space of a dropped log's records is released by punching holes where the file system can do that; a file is removed
//! when nothing in it is needed any more.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use quick_cache::sync::Cache;
use rustix::fs::{FallocateFlags, fallocate};

use crate::store::error::Cause;
use crate::store::record::{LARGE_BYTES, sum_of};
use crate::sync::lock;

/// Holes consist of whole blocks.
const BLOCK: u64 = 4096;

/// The location of a large record in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordLocation {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) bytes: u32,
    /// Its xxh3.
    pub(super) sum: u64,
}

/// The retained segments.
#[derive(Debug)]
pub(super) struct RetainedSegments {
    /// Paths by number; `None` until the file is found.
    paths: Mutex<HashMap<u64, Option<PathBuf>>>,
    open: Cache<u64, Arc<File>>,
}

impl RetainedSegments {
    /// Creates the set of these numbers; their files are added by [`RetainedSegments::found`]. At most `open_max` of them stay
    /// open.
    pub(super) fn expecting(numbers: impl Iterator<Item = u64>, open_max: usize) -> Self {
        Self { paths: Mutex::new(numbers.map(|number| (number, None)).collect()), open: Cache::new(open_max) }
    }

    /// Returns the highest number; 0 if there are none.
    pub(super) fn last(&self) -> u64 {
        self.paths().keys().copied().max().unwrap_or(0)
    }

    /// Notes the file of a segment, and returns true if the segment is a retained one.
    pub(super) fn found(&self, number: u64, path: &Path) -> bool {
        let mut paths = self.paths();
        let expected = paths.get_mut(&number);
        expected.map(|expected| *expected = Some(path.to_owned())).is_some()
    }

    /// Adds a segment.
    pub(super) fn add(&self, number: u64, path: &Path) {
        self.paths().insert(number, Some(path.to_owned()));
    }

    /// Reads a record. Errors: [`Cause::File`], [`Cause::DamagedFile`].
    pub(super) fn read(&self, location: &RecordLocation) -> Result<Bytes, Cause> {
        let file = self.open.get_or_insert_with(&location.segment, || self.open_file(location.segment))?;
        let mut record = vec![0; location.bytes as usize];
        let path = || self.path_of(location.segment).unwrap_or_default();
        file.read_exact_at(&mut record, location.offset).map_err(|source| Cause::File { path: path(), source })?;
        match sum_of(&record) == location.sum {
            true => Ok(record.into()),
            false => {
                let fault = format!("is damaged at byte {}: a checksum does not match", location.offset);
                Err(Cause::DamagedFile { path: path(), fault })
            }
        }
    }

    fn open_file(&self, number: u64) -> Result<Arc<File>, Cause> {
        let missing = || Cause::DamagedFile {
            path: format!("journal/{number:010}-*.journal").into(),
            fault: "is missing".to_owned(),
        };
        let path = self.path_of(number).ok_or_else(missing)?;
        File::open(&path).map(Arc::new).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Cause::DamagedFile { path, fault: "is missing".to_owned() },
            _ => Cause::File { path, source },
        })
    }

    /// Returns the path of a segment; `None` if it is missing.
    pub(super) fn path_of(&self, number: u64) -> Option<PathBuf> {
        self.paths().get(&number).cloned().flatten()
    }

    /// Releases the space of records, given by offset and length. Errors: the operating system's; not every file system can.
    pub(super) fn free(&self, segment: u64, mut records: Vec<(u64, u64)>) -> io::Result<()> {
        records.sort_unstable();
        let mut holes: Vec<Range<u64>> = Vec::new();
        for (offset, bytes) in records {
            match holes.last_mut() {
                // No large record fits in between, and one hole is a fraction of the work of two.
                Some(hole) if offset < hole.end + LARGE_BYTES as u64 => hole.end = hole.end.max(offset + bytes),
                Some(_) | None => holes.push(offset..offset + bytes),
            }
        }
        self.punch(segment, holes.into_iter())
    }

    /// Releases the space around these records, given by offset and length.
    pub(super) fn free_around(&self, segment: u64, mut records: Vec<(u64, u64)>) {
        records.sort_unstable();
        let begins = std::iter::once(0).chain(records.iter().map(|(offset, bytes)| offset + bytes));
        let ends = records.iter().map(|(offset, _)| *offset).chain([u64::MAX]);
        let around = begins.zip(ends).map(|(begins, end)| begins..end);
        if let Err(error) = self.punch(segment, around) {
            tracing::debug!(%error, segment, "cannot release the unneeded parts of a journal segment");
        }
    }

    fn punch(&self, segment: u64, ranges: impl Iterator<Item = Range<u64>>) -> io::Result<()> {
        let Some(path) = self.path_of(segment) else { return Ok(()) };
        let file = OpenOptions::new().write(true).open(path)?;
        let length = file.metadata()?.len();
        for range in ranges {
            let (begins, ends) = (range.start.next_multiple_of(BLOCK), range.end.min(length) / BLOCK * BLOCK);
            if begins < ends {
                fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, begins, ends - begins)?;
            }
        }
        Ok(())
    }

    /// Removes a segment in which nothing is needed any more. Errors: the operating system's.
    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        self.open.remove(&number);
        let path = self.paths().remove(&number).flatten();
        path.map_or(Ok(()), fs::remove_file)
    }

    fn paths(&self) -> MutexGuard<'_, HashMap<u64, Option<PathBuf>>> {
        lock(&self.paths)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn retained(dir: &Path, content: &[u8]) -> (RetainedSegments, PathBuf) {
        let path = dir.join("segment");
        fs::write(&path, content).unwrap();
        File::open(&path).unwrap().sync_all().unwrap();
        let retained = RetainedSegments::expecting([7].into_iter(), 2);
        assert!(retained.found(7, &path) && !retained.found(8, &path) && retained.last() == 7);
        (retained, path)
    }

    fn location(content: &[u8], offset: u64, bytes: u32) -> RecordLocation {
        let sum = sum_of(&content[offset as usize..][..bytes as usize]);
        RecordLocation { segment: 7, offset, bytes, sum }
    }

    #[test]
    fn a_record_is_read_and_damage_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let (retained, path) = retained(dir.path(), b"some of it");
        assert_eq!(retained.read(&location(b"some of it", 5, 2)).unwrap(), "of");
        fs::write(&path, b"some if it").unwrap();
        let refused = retained.read(&location(b"some of it", 5, 2)).unwrap_err().to_string();
        assert!(refused.contains("checksum"), "{refused}");
        retained.read(&location(b"some of it, and more", 8, 5)).unwrap_err();
        let refused = retained.read(&RecordLocation { segment: 9, ..location(b"some", 0, 1) }).unwrap_err().to_string();
        assert!(refused.contains("journal/0000000009-"), "{refused}");
    }

    #[test]
    fn the_space_around_records_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..400_000_u32).map(|at| (at % 251) as u8).collect();
        let (retained, path) = retained(dir.path(), &content);
        retained.free_around(7, vec![(300_000, 40_000), (60_000, 40_000), (100_000, 10)]);
        let occupied = fs::metadata(&path).unwrap().blocks() * 512;
        assert!(occupied < 110_000, "{occupied}");
        for (offset, bytes) in [(60_000, 40_000), (100_000, 10), (300_000, 40_000)] {
            assert!(
                retained.read(&location(&content, offset, bytes)).unwrap()
                    == content[offset as usize..][..bytes as usize]
            );
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), 400_000);
    }

    #[test]
    fn the_space_of_records_is_released_and_the_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..400_000_u32).map(|at| (at % 251) as u8).collect();
        let (retained, path) = retained(dir.path(), &content);
        let occupied = || fs::metadata(&path).unwrap().blocks() * 512;
        let before = occupied();
        retained.free(7, vec![(200_001, 100_000), (100_001, 80_000)]).unwrap();
        assert!(occupied() + 190_000 < before, "{} of {before}", occupied());
        for (offset, bytes) in [(0, 100_001), (300_001, 99_999)] {
            assert!(
                retained.read(&location(&content, offset, bytes)).unwrap()
                    == content[offset as usize..][..bytes as usize]
            );
        }
        // Too short for a hole, and too far from each other.
        retained.free(7, vec![(10, 5000), (5010 + LARGE_BYTES as u64, 5000)]).unwrap();
        assert_eq!(
            retained.read(&location(&content, 5010, LARGE_BYTES as u32)).unwrap(),
            content[5010..][..LARGE_BYTES]
        );
        retained.remove(7).unwrap();
        assert!(!path.exists());
        retained.remove(7).unwrap();
    }
}
