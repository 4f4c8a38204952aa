//! The number up to which commits were acknowledged, kept outside the journal. At the end of a journal, a commit that was
//! torn by a crash and one that was damaged later look the same: only the acknowledged one is missed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::private;

const FILE: &str = "answered";

/// Size of the file.
const BYTES: usize = 16;

/// The file `answered`: the number after the last acknowledged commit.
pub(super) struct Acknowledged {
    file: File,
    next_commit: AtomicU64,
    fault: Option<&'static str>,
}

impl Acknowledged {
    /// Opens or creates the file. Errors: the operating system's.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let (next_commit, fault) = match Self::look(dir)? {
            Ok(next_commit) => (next_commit, None),
            Err(fault) => (0, Some(fault)),
        };
        let file = private::writing().open(dir.join(FILE))?;
        Ok(Self { file, next_commit: AtomicU64::new(next_commit), fault })
    }

    /// Returns the number in the file of a directory, or the fault of the file, as a predicate.
    /// Errors: the operating system's.
    pub(super) fn look(dir: &Path) -> io::Result<Result<u64, &'static str>> {
        match fs::read(dir.join(FILE)) {
            Ok(bytes) => Ok(bytes.try_into().ok().and_then(decode).ok_or("is damaged")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Err("is missing")),
            Err(error) => Err(error),
        }
    }

    /// Returns the path of the file.
    pub(super) fn path(dir: &Path) -> PathBuf {
        dir.join(FILE)
    }

    /// Returns the fault of the file that was opened, as a predicate; then the number is 0. `None` if it was intact.
    pub(super) fn fault(&self) -> Option<&'static str> {
        self.fault
    }

    /// Returns the number in the file of a directory; `None` if there is no such file, or its number is damaged.
    pub(super) fn read(dir: &Path) -> Option<u64> {
        Self::look(dir).ok()?.ok()
    }

    /// Writes the file into a new directory. Errors: the operating system's.
    pub(super) fn write(dir: &Path, next_commit: u64) -> io::Result<()> {
        private::write(&dir.join(FILE), encode(next_commit))?.sync_all()
    }

    /// Replaces a file that was missing or damaged. Errors: the operating system's.
    pub(super) fn renew(&self, next_commit: u64) -> io::Result<()> {
        self.advance(next_commit)?;
        self.file.set_len(BYTES as u64)?;
        self.file.sync_all()
    }

    /// Notes that every commit below `next_commit` may be acknowledged. Not synced: after a power failure the file may hold a
    /// smaller number, which only means that less is missed. Errors: the operating system's.
    pub(super) fn advance(&self, next_commit: u64) -> io::Result<()> {
        self.next_commit.store(next_commit, Ordering::Relaxed);
        self.file.write_all_at(&encode(next_commit), 0)
    }

    /// Returns the number after the last acknowledged commit.
    pub(super) fn next_commit(&self) -> u64 {
        self.next_commit.load(Ordering::Relaxed)
    }
}

/// Encodes the number and its complement, so that a flipped bit is noticed.
fn encode(next_commit: u64) -> [u8; BYTES] {
    (u128::from(next_commit) << 64 | u128::from(!next_commit)).to_be_bytes()
}

fn decode(bytes: [u8; BYTES]) -> Option<u64> {
    let next_commit = (u128::from_be_bytes(bytes) >> 64) as u64;
    (encode(next_commit) == bytes).then_some(next_commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_a_flipped_bit_is_ignored() {
        assert_eq!(decode(encode(7)), Some(7));
        for bit in 0..128 {
            let flipped = u128::from_be_bytes(encode(7)) ^ 1 << bit;
            assert_eq!(decode(flipped.to_be_bytes()), None);
        }
    }
}
