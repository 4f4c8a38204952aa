//! The folder that a backup is made in.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::BackupError;
use crate::store::disk::{folder, private};
use crate::store::error::Cause;

/// Space for what is written besides the copied files.
const EXTRA_BYTES: u64 = 1024 * 1024;

/// Names that file systems create in an empty folder.
const SYSTEM_NAMES: [&str; 1] = ["lost+found"];

/// A checked target. Nothing in it is overwritten.
pub(super) struct Target {
    path: PathBuf,
    /// The first folder above it that exists, or itself.
    existing: PathBuf,
    source: PathBuf,
}

impl Target {
    /// Checks that the folder is new or empty, and apart from the store in `source`.
    pub(super) fn check(path: &Path, source: &Path) -> Result<Self, BackupError> {
        let path = std::path::absolute(path).map_err(|error| BackupError::at(path, error))?;
        let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(&path);
        let real = |folder: &Path| fs::canonicalize(folder).map_err(|error| BackupError::at(folder, error));
        let (source, real_existing) = (real(source)?, real(existing)?);
        let whole = real_existing.join(path.strip_prefix(existing).unwrap_or(Path::new("")));
        if whole.starts_with(&source) || source.starts_with(&whole) {
            return Err(BackupError::Inside { target: path, dir: source });
        }
        match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(BackupError::at(&path, error)),
            Ok(entries) => {
                let mut names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
                if names.any(|name| !SYSTEM_NAMES.iter().any(|system| name == *system)) {
                    return Err(match folder::check(&path) {
                        Err(Cause::IncompleteBackup) => BackupError::Interrupted { target: path },
                        _ => BackupError::NotEmpty { target: path },
                    });
                }
            }
        }
        Ok(Self { existing: existing.to_owned(), path, source })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that the disk has space for the copy, and afterwards for the store if that is on the same disk.
    pub(super) fn check_space(&self, bytes: u64, free_bytes_min: u64) -> Result<(), BackupError> {
        let failed = |error| BackupError::at(&self.existing, error);
        let disk = rustix::fs::statvfs(&self.existing).map_err(|error| failed(error.into()))?;
        let device = |folder: &Path| fs::metadata(folder).map(|folder| folder.dev());
        let shared = device(&self.existing).map_err(failed)? == device(&self.source).map_err(failed)?;
        let left = if shared { free_bytes_min } else { 0 };
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        let needed_bytes = bytes.saturating_add(EXTRA_BYTES).saturating_add(left);
        match free_bytes < needed_bytes {
            true => Err(BackupError::DiskFull { target: self.path.clone(), free_bytes, needed_bytes }),
            false => Ok(()),
        }
    }

    /// Creates the folder, marked as incomplete.
    pub(super) fn create(&self) -> Result<(), BackupError> {
        private::create_folder(&self.path).map_err(|error| BackupError::at(&self.path, error))?;
        private::warn_if_open(&self.path);
        Ok(folder::mark_incomplete(&self.path)?)
    }
}
