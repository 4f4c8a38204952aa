//! Errors of backups.

use std::io;
use std::path::PathBuf;

use crate::store::error::{Cause, Error};

/// The reason why a backup was not made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target holds an earlier backup that was interrupted.
    #[error("{} holds a backup that was interrupted; remove it, or name another folder", target.display())]
    Interrupted {
        /// The folder.
        target: PathBuf,
    },
    /// The target is not empty.
    #[error("{} is not empty; name a folder that is empty or does not exist", target.display())]
    NotEmpty {
        /// The folder.
        target: PathBuf,
    },
    /// The target is the store, in it, or around it.
    #[error("{} and the data folder {} are inside each other; name another folder", target.display(), dir.display())]
    Inside {
        /// The target.
        target: PathBuf,
        /// The data folder.
        dir: PathBuf,
    },
    /// The disk of the target has too little free space.
    #[error("{} has {free_bytes} free bytes, the backup needs {needed_bytes}", target.display())]
    DiskFull {
        /// The target.
        target: PathBuf,
        /// The free bytes of its disk.
        free_bytes: u64,
        /// The size of the copy, and what is to stay free for the store if it is on the same disk.
        needed_bytes: u64,
    },
    /// No moment was found at which nothing is compacted.
    #[error("the store is too busy for a backup; try again later")]
    TooBusy,
    /// The store was closed, or the server stopped.
    #[error("the server stopped; the copy is incomplete, and is never opened")]
    Stopped,
    /// Another backup of the same store is being made.
    #[error("another backup of {} is being made", dir.display())]
    Running {
        /// The data folder.
        dir: PathBuf,
    },
    /// The server does not answer.
    #[error("the server that has {} open does not answer; it may be of a version without backups", dir.display())]
    NoAnswer {
        /// The data folder.
        dir: PathBuf,
    },
    /// The server could not make it.
    #[error("{0}")]
    Refused(String),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] Cause),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] Error),
}

impl BackupError {
    /// Adds the path to an error of the system.
    pub(super) fn at(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::File(Cause::File { path: path.into(), source })
    }
}
