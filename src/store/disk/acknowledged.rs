//! The number up to which commits were acknowledged, kept outside the journal. At the end of a journal, a commit that was
//! torn by a crash and one that was damaged later look the same: only the acknowledged one is missed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

const FILE: &str = "answered";

/// The file `answered`: the number after the last acknowledged commit.
pub(super) struct Acknowledged {
    file: File,
    next_commit: AtomicU64,
}

impl Acknowledged {
    /// Opens or creates the file. Errors: the operating system's.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join(FILE))?;
        let mut bytes = [0; 16];
        let next_commit = file.read_exact_at(&mut bytes, 0).ok().and_then(|()| decode(bytes));
        Ok(Self { file, next_commit: AtomicU64::new(next_commit.unwrap_or(0)) })
    }

    /// Returns the number in the file of a directory; `None` if there is no such file, or its number is damaged.
    pub(super) fn read(dir: &Path) -> Option<u64> {
        let bytes = std::fs::read(dir.join(FILE)).ok()?;
        decode(*bytes.first_chunk()?)
    }

    /// Writes the file into a new directory. Errors: the operating system's.
    pub(super) fn write(dir: &Path, next_commit: u64) -> io::Result<()> {
        let mut file = File::create(dir.join(FILE))?;
        file.write_all(&encode(next_commit))?;
        file.sync_all()
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
fn encode(next_commit: u64) -> [u8; 16] {
    (u128::from(next_commit) << 64 | u128::from(!next_commit)).to_be_bytes()
}

fn decode(bytes: [u8; 16]) -> Option<u64> {
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
