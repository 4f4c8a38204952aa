//! A copy of one file, or of its end: its bytes, where they stand in the file, and a checksum of both.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::manifest::damaged;

/// What is read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Where the bytes stand, and the checksum: at the end of a copy.
const TRAILER_BYTES: u64 = 8 + 16;

/// What of a file is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// All of it, with this checksum.
    Whole(u128),
    /// So many bytes at the end; the checksum is that of all of it.
    End { bytes: u64, sum: u128 },
}

/// A file that there is to be a copy of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) file: PathBuf,
    pub(super) what: What,
    pub(super) copy: PathBuf,
}

impl Part {
    /// How many bytes are copied, at the most.
    pub(super) fn bytes(&self) -> u64 {
        match self.what {
            What::Whole(_) => fs::metadata(&self.file).map_or(0, |file| file.len()),
            What::End { bytes, .. } => bytes,
        }
    }

    /// Makes the copy. Errors: what the disk says, or that the file is damaged; there is no copy then.
    pub(super) fn make(&self) -> io::Result<()> {
        let new = self.copy.with_extension("new");
        let made = self.write(&new).and_then(|()| fs::rename(&new, &self.copy));
        if made.is_err() {
            // What cannot be removed now is thrown away when the copies are looked through.
            fs::remove_file(&new).ok();
        }
        made
    }

    fn write(&self, new: &Path) -> io::Result<()> {
        let mut file = File::open(&self.file)?;
        let (start, expected) = match self.what {
            What::Whole(sum) => (0, sum),
            What::End { bytes, sum } => (file.metadata()?.len().saturating_sub(bytes), sum),
        };
        if start > 0 {
            let mut whole = Xxh3::new();
            each_piece(&mut file, |_, piece| {
                whole.update(piece);
                Ok(())
            })?;
            check(&whole, expected)?;
            file.seek(SeekFrom::Start(start))?;
        }
        let mut copy = BufWriter::with_capacity(PIECE_BYTES, File::create(new)?);
        let mut sum = Xxh3::new();
        each_piece(&mut file, |_, piece| {
            sum.update(piece);
            copy.write_all(piece)
        })?;
        if start == 0 {
            check(&sum, expected)?;
        }
        copy.write_all(&trailer(start, &mut sum))?;
        copy.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()
    }

    /// Writes again what differs from the copy, and tells whether something did. Without a sound copy nothing does. Makes the
    /// file if it is gone and it `may_make` it. Errors: what the disk says.
    pub(super) fn restore(&self, may_make: bool) -> io::Result<bool> {
        let Some((mut copy, start, bytes)) = self.sound_copy()? else { return Ok(false) };
        let mut how = OpenOptions::new();
        let file = how.read(true).write(true).create(may_make && start == 0).truncate(false).open(&self.file)?;
        let found = file.metadata()?.len();
        let mut differs = found != start + bytes;
        if differs && start > 0 {
            return Ok(false);
        }
        let (mut there, mut written) = (vec![0; PIECE_BYTES], false);
        each_piece(&mut (&mut copy).take(bytes), |at, piece| {
            let there = &mut there[..piece.len()];
            if file.read_exact_at(there, start + at).is_err() || there != piece {
                file.write_all_at(piece, start + at)?;
                written = true;
            }
            Ok(())
        })?;
        if found > start + bytes {
            file.set_len(start + bytes)?;
        }
        differs |= written;
        if differs {
            file.sync_all()?;
        }
        Ok(differs)
    }

    /// The copy, where its bytes stand in the file, and how many they are; `None` if there is none that is sound.
    fn sound_copy(&self) -> io::Result<Option<(File, u64, u64)>> {
        let mut copy = match File::open(&self.copy) {
            Ok(copy) => copy,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(bytes) = copy.metadata()?.len().checked_sub(TRAILER_BYTES) else { return Ok(None) };
        let mut sum = Xxh3::new();
        each_piece(&mut (&mut copy).take(bytes), |_, piece| {
            sum.update(piece);
            Ok(())
        })?;
        let mut found = [0; TRAILER_BYTES as usize];
        copy.read_exact(&mut found)?;
        let fits = match self.what {
            What::Whole(expected) => sum.digest128() == expected,
            What::End { .. } => true,
        };
        let start = u64::from_le_bytes(*found.first_chunk().expect("a trailer begins with it"));
        copy.seek(SeekFrom::Start(0))?;
        Ok((fits && found == trailer(start, &mut sum)).then_some((copy, start, bytes)))
    }
}

fn check(sum: &Xxh3, expected: u128) -> io::Result<()> {
    if sum.digest128() == expected { Ok(()) } else { Err(damaged("it")) }
}

/// Where the bytes stand that were summed, and the sum of both.
fn trailer(start: u64, sum: &mut Xxh3) -> [u8; TRAILER_BYTES as usize] {
    let mut trailer = [0; TRAILER_BYTES as usize];
    let (place, end) = trailer.split_at_mut(8);
    place.copy_from_slice(&start.to_le_bytes());
    sum.update(place);
    end.copy_from_slice(&sum.digest128().to_le_bytes());
    trailer
}

/// Reads to the end, piece by piece, each with where it begins.
fn each_piece(from: &mut impl Read, mut take: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let (mut piece, mut at) = (vec![0; PIECE_BYTES], 0);
    loop {
        let bytes = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        take(at, &piece[..bytes])?;
        at += bytes as u64;
    }
}
