//! Zeros ahead of the journal's end, so that a sync has less to do.
//!
//! To have new blocks of a file on the disk, a file system has to write its own journal first, and waits for that, too.
//! Blocks that are there already are just written again: on ext4, about half as many more syncs a second. fjall makes
//! each of its journals 64 MiB long and leaves it empty; here a part of that is filled before it is needed. What is read
//! of a journal ends where its zeros begin, whoever wrote them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{SeekFrom, seek};

use super::journal::journals_in;

/// How much is filled at a time: enough for a thousand small commits, little enough to delay none of them by much.
const STEP: u64 = 512 * 1024;

/// Commits above this size are not worth it: the writing takes longer than what the file system does besides.
const COMMIT_BYTES_MAX: u64 = 16 * 1024;

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// What is known of the zeros.
pub(super) struct Ahead {
    dir: PathBuf,
    /// How much of them is left, by what commits are known to have taken.
    left: u64,
}

impl Ahead {
    /// For the journals in this folder.
    pub(super) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), left: 0 }
    }

    /// A commit of about this size comes. Nobody may write to the journal meanwhile.
    pub(super) fn expect(&mut self, bytes: u64) {
        if self.left < bytes && bytes <= COMMIT_BYTES_MAX {
            // Whatever happens, there is no hurry to try again: commits work without.
            self.left = STEP;
            if let Err(error) = fill(&self.dir) {
                tracing::debug!(%error, "the journal cannot be filled with zeros");
            }
        }
        self.left = self.left.saturating_sub(bytes);
    }
}

/// Fills a part of the newest journal, behind everything that was ever written to it, and never beyond its length: fjall
/// writes to the end of one that it found when it was opened, and that has no such room.
fn fill(dir: &Path) -> io::Result<()> {
    let Some((_, path)) = journals_in(dir)?.into_iter().max() else { return Ok(()) };
    let file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    let mut at = first_hole(&file)?;
    let until = length.min(at + STEP);
    while at < until {
        let count = (until - at).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..count as usize], at)?;
        at += count;
    }
    Ok(())
}

/// Where nothing was ever written; the length if there is no such place, or the file system does not tell.
fn first_hole(file: &File) -> io::Result<u64> {
    Ok(seek(file, SeekFrom::Hole(0))?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use bytes::Bytes;

    use super::*;
    use crate::store::disk::scratch::config;
    use crate::store::{Batch, DiskConfig, DiskStore, Durability, LogId, Store};

    /// A journal as fjall makes it, with something written to it.
    fn journal(dir: &Path, name: &str, length: u64, written: &[u8]) -> PathBuf {
        let path = dir.join(name);
        let file = File::create(&path).unwrap();
        file.set_len(length).unwrap();
        file.write_all_at(written, 0).unwrap();
        path
    }

    fn filled_bytes(path: &Path) -> u64 {
        fs::metadata(path).unwrap().blocks() * 512
    }

    #[test]
    fn the_newest_journal_is_filled_behind_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let older = journal(dir.path(), "9.jnl", 4 * STEP, b"older");
        let newest = journal(dir.path(), "10.jnl", 4 * STEP, b"newest");
        let mut ahead = Ahead::of(dir.path());
        ahead.expect(100);
        assert!(filled_bytes(&newest) >= STEP && filled_bytes(&older) < STEP);
        let bytes = fs::read(&newest).unwrap();
        assert_eq!(bytes.len() as u64, 4 * STEP);
        assert!(bytes.starts_with(b"newest") && bytes[6..].iter().all(|byte| *byte == 0));
        // No more before the commits have taken it.
        let before = filled_bytes(&newest);
        ahead.expect(100);
        assert_eq!(filled_bytes(&newest), before);
        (0..STEP / COMMIT_BYTES_MAX + 1).for_each(|_| ahead.expect(COMMIT_BYTES_MAX));
        assert!(filled_bytes(&newest) > before);
    }

    #[test]
    fn a_journal_is_never_made_longer() {
        let dir = tempfile::tempdir().unwrap();
        let path = journal(dir.path(), "0.jnl", 0, b"all of it");
        Ahead::of(dir.path()).expect(100);
        assert_eq!(fs::read(&path).unwrap(), b"all of it");
        let path = journal(dir.path(), "1.jnl", 10_000, b"some of it");
        Ahead::of(dir.path()).expect(100);
        assert_eq!(fs::metadata(&path).unwrap().len(), 10_000);
    }

    #[test]
    fn large_commits_are_not_helped() {
        let dir = tempfile::tempdir().unwrap();
        let path = journal(dir.path(), "0.jnl", 4 * STEP, b"");
        Ahead::of(dir.path()).expect(COMMIT_BYTES_MAX + 1);
        assert_eq!(filled_bytes(&path), 0);
    }

    #[test]
    fn a_store_that_syncs_is_read_back_whatever_the_sizes_of_its_commits() {
        let dir = tempfile::tempdir().unwrap();
        let config = DiskConfig { durability: Durability::Sync, ..config(dir.path()) };
        let mut expected = Vec::new();
        for round in 0..3 {
            let store = DiskStore::open(&config).unwrap();
            for size in [10, 5_000, 20_000, 700_000, 10, 16_000, 300_000, 40] {
                let (record, mut batch) = (vec![(size % 7 + round) as u8; size], Batch::default());
                batch.append(LogId(1), expected.len() as u64, Bytes::from(record.clone()));
                store.commit(batch).unwrap();
                expected.extend(record);
            }
        }
        let store = DiskStore::open(&config).unwrap();
        let end = store.end(LogId(1)).unwrap().unwrap();
        let read = store.read(LogId(1), 0..end, usize::MAX).unwrap().chunks.concat();
        assert!(read == expected && store.gaps().is_empty());
    }
}
