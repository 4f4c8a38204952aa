//! Copies of files: synced, checked against their checksum, and with the holes of the original.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::BackupOutcome;
use super::error::BackupError;
use crate::store::disk::private;

/// Bytes that are copied at once.
const STEP_BYTES: usize = 1024 * 1024;

/// Size of the parts of these that are left out if they are zeros.
const HOLE_BYTES: usize = 64 * 1024;

/// Called with the bytes done and all bytes; an error ends the copy.
pub(super) type Step<'a> = &'a mut dyn FnMut(u64, u64) -> Result<(), BackupError>;

/// Copies files and counts them.
pub(super) struct Copier<'a> {
    all_bytes: u64,
    done_bytes: u64,
    files: u64,
    damaged: Vec<PathBuf>,
    step: Step<'a>,
    buffer: Vec<u8>,
}

impl<'a> Copier<'a> {
    /// Creates a copier that will copy about `all_bytes`.
    pub(super) fn new(all_bytes: u64, step: Step<'a>) -> Self {
        let buffer = vec![0; STEP_BYTES];
        Self { all_bytes, done_bytes: 0, files: 0, damaged: Vec::new(), step, buffer }
    }

    /// Copies a file and syncs it. Notes it as damaged if it does not have the checksum.
    pub(super) fn copy(&mut self, from: &Path, to: &Path, checksum: Option<u128>) -> Result<(), BackupError> {
        let mut source = File::open(from).map_err(|error| BackupError::at(from, error))?;
        let mut copy = private::create_new(to).map_err(|error| BackupError::at(to, error))?;
        let (mut sum, mut length) = (Xxh3::new(), 0);
        loop {
            let count = source.read(&mut self.buffer).map_err(|error| BackupError::at(from, error))?;
            let bytes = &self.buffer[..count];
            if bytes.is_empty() {
                break;
            }
            if checksum.is_some() {
                sum.update(bytes);
            }
            write_sparse(&mut copy, bytes).map_err(|error| BackupError::at(to, error))?;
            length += count as u64;
            self.done_bytes += count as u64;
            (self.step)(self.done_bytes, self.all_bytes.max(self.done_bytes))?;
        }
        copy.set_len(length).and_then(|()| copy.sync_all()).map_err(|error| BackupError::at(to, error))?;
        if checksum.is_some_and(|checksum| checksum != sum.digest128()) {
            self.damaged.push(from.to_owned());
        }
        self.files += 1;
        Ok(())
    }

    /// Returns what was copied.
    pub(super) fn outcome(self) -> BackupOutcome {
        BackupOutcome { files: self.files, bytes: self.done_bytes, damaged: self.damaged }
    }
}

fn write_sparse(copy: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    for part in bytes.chunks(HOLE_BYTES) {
        match part.iter().all(|byte| *byte == 0) {
            true => drop(copy.seek(SeekFrom::Current(part.len() as i64))?),
            false => copy.write_all(part)?,
        }
    }
    Ok(())
}

/// Returns the space that a file takes on the disk, which is less than its size if it has holes; 0 if it cannot be read.
pub(super) fn allocated_bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len().min(file.blocks().saturating_mul(512)))
}
