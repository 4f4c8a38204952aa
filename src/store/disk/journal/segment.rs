//! One file of the journal.
//!
//! Syncing newly allocated blocks makes the file system write and wait for its own journal; overwriting allocated blocks gives
//! about 50 % more syncs per second on ext4. So a segment reuses the file of an unneeded one, and otherwise fills blocks with
//! zeros ahead. Its frames differ from earlier ones in the file by the salt in its name.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blocks::{BLOCK, Blocks, write_zeros};
use super::frame::Frame;
use crate::store::disk::private;

/// Bounds of how much is filled with zeros at once; in between, as much as the file has. The minimum is enough for many small
/// commits, the maximum delays no commit by much.
const STEP_MIN: u64 = 512 * 1024;
const STEP_MAX: u64 = 4 * 1024 * 1024;

/// Size of a commit above which filling ahead is not worthwhile, as writing dominates its duration.
const HELPED_BYTES_MAX: u64 = 16 * 1024;

const EXTENSION: &str = "journal";

/// The parts of a segment's file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) number: u64,
    pub(super) salt: u64,
}

impl Name {
    fn file(&self) -> String {
        format!("{:010}-{:016x}.{EXTENSION}", self.number, self.salt)
    }

    fn of(file: &str) -> Option<Self> {
        let (number, salt) = file.strip_suffix(EXTENSION)?.strip_suffix('.')?.split_once('-')?;
        let name = Self { number: number.parse().ok()?, salt: u64::from_str_radix(salt, 16).ok()? };
        (name.file() == file).then_some(name)
    }
}

/// Returns the segments in a directory in order.
pub(super) fn segments_in(dir: &Path) -> io::Result<Vec<(Name, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| Name::of(name.to_str()?));
        segments.extend(name.map(|name| (name, path)));
    }
    segments.sort_unstable();
    Ok(segments)
}

/// A segment being written.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) name: Name,
    file: Arc<File>,
    /// The writer of whole blocks, if the file is open for direct I/O.
    blocks: Option<Blocks>,
    /// True if every frame is synced.
    synced: bool,
    /// The offset of the next frame.
    end: u64,
    /// The end of the allocated blocks.
    filled: u64,
}

impl Segment {
    /// Begins a segment, in an `unneeded` file if there is one. The file survives a crash. With `synced`, every frame will be
    /// synced.
    pub(super) fn begin(dir: &Path, name: Name, unneeded: Option<&Path>, synced: bool) -> io::Result<Self> {
        let path = dir.join(name.file());
        if let Some(unneeded) = unneeded {
            fs::rename(unneeded, &path)?;
        }
        let file = private::writing().open(&path)?;
        let length = file.metadata()?.len();
        File::open(dir)?.sync_all()?;
        let (file, blocks) = match synced.then(|| Blocks::open(&path)).flatten() {
            Some((file, blocks)) => (file, Some(blocks)),
            None => (file, None),
        };
        Ok(Self { path, name, file: Arc::new(file), blocks, synced, end: 0, filled: length - length % BLOCK })
    }

    /// Appends a frame. After an error nothing more may be written.
    pub(super) fn write(&mut self, frame: &Frame) -> io::Result<()> {
        let end = self.end + frame.length();
        if self.synced && end > self.filled && frame.length() <= HELPED_BYTES_MAX {
            self.fill(end.next_multiple_of(BLOCK) + self.filled.clamp(STEP_MIN, STEP_MAX))?;
        }
        match &mut self.blocks {
            Some(blocks) => blocks.write(&self.file, self.end, frame.pieces())?,
            None => {
                let mut at = self.end;
                for piece in frame.pieces() {
                    self.file.write_all_at(piece, at)?;
                    at += piece.len() as u64;
                }
            }
        }
        self.end = end;
        self.filled = self.filled.max(end.next_multiple_of(BLOCK));
        Ok(())
    }

    fn fill(&mut self, until: u64) -> io::Result<()> {
        // In as few writes as possible, as each one extends the file, which the next one waits for.
        while self.filled < until {
            self.filled += write_zeros(&self.file, self.filled, until - self.filled)?;
        }
        Ok(())
    }

    /// Returns the number of bytes written.
    pub(super) fn bytes(&self) -> u64 {
        self.end
    }

    /// Returns the file, to sync it.
    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::frame::Change;
    use super::*;

    fn frame(bytes: usize) -> Frame {
        let mut frame = Frame::default();
        frame.fill(&[Change::Remove { key: Bytes::from(vec![b'k'; bytes]) }], 0, 0);
        frame
    }

    #[test]
    fn a_name_round_trips_and_others_are_ignored() {
        let name = Name { number: 17, salt: 0xabc };
        assert_eq!(Name::of(&name.file()), Some(name));
        for other in
            ["", "17.journal", "0000000017-abc.journal", "0000000017-0000000000000abc", "x-y.journal", "-.journal"]
        {
            assert_eq!(Name::of(other), None, "{other}");
        }
    }

    fn begin(dir: &Path, unneeded: Option<&Path>) -> Segment {
        Segment::begin(dir, Name { number: 1, salt: 2 }, unneeded, true).unwrap()
    }

    #[test]
    fn blocks_are_filled_ahead_for_small_commits_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut segment = begin(dir.path(), None);
        segment.write(&frame(100)).unwrap();
        let (filled, small) = (segment.filled, segment.bytes());
        assert!(filled >= STEP_MIN && fs::metadata(&segment.path).unwrap().len() == filled);
        segment.write(&frame(100)).unwrap();
        assert_eq!(segment.filled, filled);
        segment.write(&frame(2 * STEP_MIN as usize)).unwrap();
        assert_eq!(segment.filled, segment.bytes().next_multiple_of(BLOCK));
        let bytes = fs::read(&segment.path).unwrap();
        assert!(
            bytes.len() as u64 >= segment.bytes()
                && bytes[..small as usize] == frame(100).pieces().collect::<Vec<_>>().concat()
        );
    }

    #[test]
    fn an_unneeded_file_is_reused() {
        let dir = tempfile::tempdir().unwrap();
        let unneeded = dir.path().join("unneeded");
        fs::write(&unneeded, vec![7; 3 * STEP_MIN as usize]).unwrap();
        let mut segment = begin(dir.path(), Some(&unneeded));
        segment.write(&frame(100)).unwrap();
        assert_eq!(fs::metadata(&segment.path).unwrap().len(), 3 * STEP_MIN);
        assert!(!unneeded.exists());
        assert_eq!(segments_in(dir.path()).unwrap(), [(segment.name.clone(), segment.path.clone())]);
    }
}
