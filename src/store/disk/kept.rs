//! Segments of the journal that stay, as the place of the large records in them: those are written once.
//!
//! What a dropped log had in one is given back to the disk as a hole where the file system can do that; the file goes when
//! nothing in it is needed any more.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use quick_cache::sync::Cache;
use rustix::fs::{FallocateFlags, fallocate};

use crate::store::record::{LARGE_BYTES, sum_of};

/// How many of the files are open, however many there are.
const OPEN_FILES_MAX: usize = 64;

/// Holes are made of whole blocks.
const BLOCK: u64 = 4096;

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) bytes: u32,
    /// Its xxh3.
    pub(super) sum: u64,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Kept {
    /// By their numbers; `None` where the file was not found yet.
    paths: Mutex<HashMap<u64, Option<PathBuf>>>,
    open: Cache<u64, Arc<File>>,
}

impl Kept {
    /// Those with these numbers, whose files are still to be [`Kept::found`].
    pub(super) fn expecting(numbers: impl Iterator<Item = u64>) -> Self {
        Self { paths: Mutex::new(numbers.map(|number| (number, None)).collect()), open: Cache::new(OPEN_FILES_MAX) }
    }

    /// The highest of the numbers; 0 if there are none.
    pub(super) fn last(&self) -> u64 {
        self.paths().keys().copied().max().unwrap_or(0)
    }

    /// Whether this is one of them.
    pub(super) fn found(&self, number: u64, path: &Path) -> bool {
        let mut paths = self.paths();
        let expected = paths.get_mut(&number);
        expected.map(|expected| *expected = Some(path.to_owned())).is_some()
    }

    /// Keeps another one.
    pub(super) fn add(&self, number: u64, path: &Path) {
        self.paths().insert(number, Some(path.to_owned()));
    }

    /// Reads a record. Errors: what the disk says, or that it is not what was written there.
    pub(super) fn read(&self, place: &Place) -> io::Result<Bytes> {
        let file = self.open.get_or_insert_with(&place.segment, || self.file(place.segment))?;
        let mut record = vec![0; place.bytes as usize];
        file.read_exact_at(&mut record, place.offset)?;
        match sum_of(&record) == place.sum {
            true => Ok(record.into()),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, "a checksum does not fit")),
        }
    }

    fn file(&self, number: u64) -> io::Result<Arc<File>> {
        let path = self.paths().get(&number).cloned().flatten();
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("segment {number} of the journal is missing"));
        Ok(Arc::new(File::open(path.ok_or_else(missing)?)?))
    }

    /// Gives back to the disk what these records had there, by their first bytes and lengths. Errors: what the disk says; not
    /// every one can.
    pub(super) fn free(&self, segment: u64, mut records: Vec<(u64, u64)>) -> io::Result<()> {
        records.sort_unstable();
        let mut holes: Vec<Range<u64>> = Vec::new();
        for (offset, bytes) in records {
            match holes.last_mut() {
                // No record that stays fits in between; one hole is a fraction of the work of two.
                Some(hole) if offset < hole.end + LARGE_BYTES as u64 => hole.end = hole.end.max(offset + bytes),
                Some(_) | None => holes.push(offset..offset + bytes),
            }
        }
        self.punch(segment, holes.into_iter())
    }

    /// Gives back what is between these records, by their first bytes and lengths, and around them.
    pub(super) fn free_besides(&self, segment: u64, mut records: Vec<(u64, u64)>) {
        records.sort_unstable();
        let begins = std::iter::once(0).chain(records.iter().map(|(offset, bytes)| offset + bytes));
        let ends = records.iter().map(|(offset, _)| *offset).chain([u64::MAX]);
        let besides = begins.zip(ends).map(|(begins, end)| begins..end);
        if let Err(error) = self.punch(segment, besides) {
            tracing::debug!(%error, segment, "what is not needed of a segment cannot be given back to the disk");
        }
    }

    fn punch(&self, segment: u64, ranges: impl Iterator<Item = Range<u64>>) -> io::Result<()> {
        let Some(path) = self.paths().get(&segment).cloned().flatten() else { return Ok(()) };
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

    /// Throws a file away in which nothing is needed any more. Errors: what the disk says.
    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        self.open.remove(&number);
        let path = self.paths().remove(&number).flatten();
        path.map_or(Ok(()), fs::remove_file)
    }

    fn paths(&self) -> MutexGuard<'_, HashMap<u64, Option<PathBuf>>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn kept(dir: &Path, content: &[u8]) -> (Kept, PathBuf) {
        let path = dir.join("segment");
        fs::write(&path, content).unwrap();
        File::open(&path).unwrap().sync_all().unwrap();
        let kept = Kept::expecting([7].into_iter());
        assert!(kept.found(7, &path) && !kept.found(8, &path) && kept.last() == 7);
        (kept, path)
    }

    fn place(content: &[u8], offset: u64, bytes: u32) -> Place {
        let sum = sum_of(&content[offset as usize..][..bytes as usize]);
        Place { segment: 7, offset, bytes, sum }
    }

    #[test]
    fn a_record_is_read_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, path) = kept(dir.path(), b"some of it");
        assert_eq!(kept.read(&place(b"some of it", 5, 2)).unwrap(), "of");
        fs::write(&path, b"some if it").unwrap();
        let refused = kept.read(&place(b"some of it", 5, 2)).unwrap_err().to_string();
        assert!(refused.contains("checksum"), "{refused}");
        kept.read(&place(b"some of it, and more", 8, 5)).unwrap_err();
        let refused = kept.read(&Place { segment: 9, ..place(b"some", 0, 1) }).unwrap_err().to_string();
        assert!(refused.contains("segment 9"), "{refused}");
    }

    #[test]
    fn what_is_besides_records_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..400_000_u32).map(|at| (at % 251) as u8).collect();
        let (kept, path) = kept(dir.path(), &content);
        kept.free_besides(7, vec![(300_000, 40_000), (60_000, 40_000), (100_000, 10)]);
        let occupied = fs::metadata(&path).unwrap().blocks() * 512;
        assert!(occupied < 110_000, "{occupied}");
        for (offset, bytes) in [(60_000, 40_000), (100_000, 10), (300_000, 40_000)] {
            assert!(
                kept.read(&place(&content, offset, bytes)).unwrap() == content[offset as usize..][..bytes as usize]
            );
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), 400_000);
    }

    #[test]
    fn what_is_not_needed_is_given_back_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..400_000_u32).map(|at| (at % 251) as u8).collect();
        let (kept, path) = kept(dir.path(), &content);
        let occupied = || fs::metadata(&path).unwrap().blocks() * 512;
        let before = occupied();
        kept.free(7, vec![(200_001, 100_000), (100_001, 80_000)]).unwrap();
        assert!(occupied() + 190_000 < before, "{} of {before}", occupied());
        for (offset, bytes) in [(0, 100_001), (300_001, 99_999)] {
            assert!(
                kept.read(&place(&content, offset, bytes)).unwrap() == content[offset as usize..][..bytes as usize]
            );
        }
        // Too short for a hole, and too far from each other.
        kept.free(7, vec![(10, 5000), (5010 + LARGE_BYTES as u64, 5000)]).unwrap();
        assert_eq!(kept.read(&place(&content, 5010, LARGE_BYTES as u32)).unwrap(), content[5010..][..LARGE_BYTES]);
        kept.remove(7).unwrap();
        assert!(!path.exists());
        kept.remove(7).unwrap();
    }
}
