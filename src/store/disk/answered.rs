//! How far commits were answered, noted outside of the journal: at the end of a journal, a commit that nobody got an answer
//! to and one that was damaged since look the same.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// The file that holds the number which the first commit that was not answered has at the least.
pub(super) struct Answered {
    file: File,
    noted: AtomicU64,
}

impl Answered {
    /// Errors: what the disk says.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join("answered"))?;
        let mut note = [0; 16];
        let noted = file.read_exact_at(&mut note, 0).ok().and_then(|()| read(note));
        let noted = noted.unwrap_or(0);
        Ok(Self { file, noted: AtomicU64::new(noted) })
    }

    /// Notes that every commit below `next` may be answered. It takes no sync: when the power goes the note may be an
    /// older one, and then it tells less. Errors: what the disk says.
    pub(super) fn note(&self, next: u64) -> io::Result<()> {
        self.noted.store(next, Ordering::Relaxed);
        self.file.write_all_at(&note_of(next), 0)
    }

    /// What was noted last.
    pub(super) fn noted(&self) -> u64 {
        self.noted.load(Ordering::Relaxed)
    }
}

/// The number, and its opposite: a note with a flipped bit tells nothing.
fn note_of(next: u64) -> [u8; 16] {
    (u128::from(next) << 64 | u128::from(!next)).to_be_bytes()
}

fn read(note: [u8; 16]) -> Option<u64> {
    let next = (u128::from_be_bytes(note) >> 64) as u64;
    (note_of(next) == note).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_with_a_flipped_bit_tells_nothing() {
        assert_eq!(read(note_of(7)), Some(7));
        for bit in 0..128 {
            let flipped = u128::from_be_bytes(note_of(7)) ^ 1 << bit;
            assert_eq!(read(flipped.to_be_bytes()), None);
        }
    }
}
