//! One file of the journal.
//!
//! To have new blocks of a file on the disk, a file system has to write its own journal first, and waits for that, too.
//! Blocks that are there already are just written again: on ext4, about half as many more syncs a second. So a segment
//! takes over the blocks of one that is not needed any more, and the first ones are filled with zeros before they are
//! needed. What tells its frames from what was there before is the salt in its name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blocks::{BLOCK, Blocks, write_zeros};
use super::frame::Frame;

/// How much is filled with zeros at a time: as much as is there, so that it is rare however long the file gets, and within
/// these. The least is enough for many small commits, the most is little enough to delay none by much.
const STEP_MIN: u64 = 512 * 1024;
const STEP_MAX: u64 = 4 * 1024 * 1024;

/// Commits above this size are not worth it: the writing takes longer than what the file system does besides.
const HELPED_BYTES_MAX: u64 = 16 * 1024;

const ENDING: &str = "journal";

/// What the name of a segment tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) number: u64,
    pub(super) salt: u64,
}

impl Name {
    fn file(&self) -> String {
        format!("{:010}-{:016x}.{ENDING}", self.number, self.salt)
    }

    fn of(file: &str) -> Option<Self> {
        let (number, salt) = file.strip_suffix(ENDING)?.strip_suffix('.')?.split_once('-')?;
        let name = Self { number: number.parse().ok()?, salt: u64::from_str_radix(salt, 16).ok()? };
        (name.file() == file).then_some(name)
    }
}

/// The segments in a folder, in their order. Errors: what the disk says.
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

/// A segment that is written to.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) name: Name,
    file: Arc<File>,
    /// What the file is written in, if that is whole blocks.
    blocks: Option<Blocks>,
    /// Whether every frame is synced.
    synced: bool,
    /// Where the next frame begins.
    end: u64,
    /// Where the blocks end that are on the disk.
    filled: u64,
}

impl Segment {
    /// Begins a segment, in the place of a file that is not needed any more if there is one. It is there after a crash.
    /// `synced` if every frame will be. Errors: what the disk says.
    pub(super) fn begin(dir: &Path, name: Name, unneeded: Option<&Path>, synced: bool) -> io::Result<Self> {
        let path = dir.join(name.file());
        if let Some(unneeded) = unneeded {
            fs::rename(unneeded, &path)?;
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
        let length = file.metadata()?.len();
        File::open(dir)?.sync_all()?;
        let (file, blocks) = match synced.then(|| Blocks::open(&path)).flatten() {
            Some((file, blocks)) => (file, Some(blocks)),
            None => (file, None),
        };
        Ok(Self { path, name, file: Arc::new(file), blocks, synced, end: 0, filled: length - length % BLOCK })
    }

    /// Writes a frame behind the others. Errors: what the disk says, and then nothing is to be written any more.
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
        // In as few writes as it takes: each makes the file longer, which the next one waits for.
        while self.filled < until {
            self.filled += write_zeros(&self.file, self.filled, until - self.filled)?;
        }
        Ok(())
    }

    /// How much was written.
    pub(super) fn bytes(&self) -> u64 {
        self.end
    }

    /// The file, for whoever syncs it.
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
    fn a_name_is_read_back_and_others_are_left_alone() {
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
    fn small_commits_find_zeros_and_large_ones_need_none() {
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
    fn a_file_that_is_not_needed_any_more_is_written_again() {
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
