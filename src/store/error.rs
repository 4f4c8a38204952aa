//! Errors of a store.

use std::io;
use std::path::PathBuf;

use super::LogId;

/// A failed call to a store. Messages contain those of their sources.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A record does not begin where its log ends; nothing of the batch was written.
    #[error("log {} ends at {end}, a record cannot begin at {start}", log.0)]
    Gap {
        /// The log.
        log: LogId,
        /// The position after its last record.
        end: u64,
        /// The position given for the new record.
        start: u64,
    },
    /// A record has no bytes; nothing of the batch was written.
    #[error("a record for log {} is empty", log.0)]
    Empty {
        /// The log.
        log: LogId,
    },
    /// No record of the log begins at the position.
    #[error("no record of log {} begins at {position}", log.0)]
    NoRecord {
        /// The log.
        log: LogId,
        /// The position.
        position: u64,
    },
    /// The record at the position cannot be read; records before and after it may be.
    #[error("log {} is damaged at {position}: {source}", log.0)]
    Damaged {
        /// The log.
        log: LogId,
        /// The position of the first record that cannot be read.
        position: u64,
        /// The cause.
        source: Cause,
    },
    /// The disk is full except for the reserve that keeps the store working. Nothing was written.
    #[error("the disk is full: {free_bytes} bytes are free, {needed_bytes} are needed")]
    DiskFull {
        /// Free bytes.
        free_bytes: u64,
        /// Free bytes that would suffice.
        needed_bytes: u64,
    },
    /// Another process has the directory open.
    #[error("{} is in use by another process", dir.display())]
    InUse {
        /// The data directory.
        dir: PathBuf,
    },
    /// The directory cannot be opened.
    #[error("{} cannot be opened as a store: {source}{}", dir.display(), source.remedy())]
    Open {
        /// The data directory.
        dir: PathBuf,
        /// The cause.
        source: Cause,
    },
    /// The journal cannot be written. Whether the batch is on the disk is unknown until the store is opened again.
    #[error("the journal cannot be written: {}: {source}", path.display())]
    Journal {
        /// The directory of the journal, or a file in it.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The database behind the journal cannot be read or written.
    #[error("the database in {} failed: {source}", dir.display())]
    Database {
        /// The data directory.
        dir: PathBuf,
        /// The cause.
        source: Cause,
    },
    /// No content is accepted, because what the journal holds cannot be flushed to the database. This is retried.
    #[error("what was written cannot be flushed to the database; the log has the cause")]
    FlushFailing,
    /// A thread of the store has panicked; the store works again when it is opened again.
    #[error("the thread {thread} has panicked")]
    ThreadPanicked {
        /// Its name.
        thread: &'static str,
    },
    /// The operating system refuses a thread.
    #[error("the thread {thread} cannot be started: {source}")]
    Thread {
        /// Its name.
        thread: &'static str,
        /// The operating system's error.
        source: io::Error,
    },
}

/// The cause of an [`Error`], below the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// An I/O error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An I/O error of a known file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A file is missing or not what was written.
    #[error("{} {fault}", path.display())]
    DamagedFile {
        /// The file.
        path: PathBuf,
        /// The fault, as a predicate.
        fault: String,
    },
    /// fjall reports an error.
    #[error("{}", message_of(.0))]
    Fjall(#[from] fjall::Error),
    /// fjall reports an error while it reads something that the store needs.
    #[error("{what} cannot be read: {}", message_of(source))]
    Unreadable {
        /// The thing that was read.
        what: &'static str,
        /// fjall's error.
        source: fjall::Error,
    },
    /// Stored bytes have no meaning although their checksum is right.
    #[error("{0} cannot be parsed")]
    Malformed(&'static str),
    /// Records that were written are missing.
    #[error("records are missing")]
    RecordsMissing,
    /// fjall panicked.
    #[error("the database panicked while it read")]
    Panicked,
    /// The database failed and could not be opened again yet.
    #[error("it could not be opened again; the log has the cause")]
    NotOpen,
    /// An earlier build wrote the directory, in a format that is no longer read.
    #[error("an earlier build wrote it, in a format that is no longer read")]
    EarlierFormat,
}

impl Cause {
    /// Returns the way out for a directory that cannot be opened, as the end of a sentence; empty if the cause says it.
    fn remedy(&self) -> &'static str {
        match self {
            Self::DamagedFile { .. } | Self::Malformed(_) | Self::RecordsMissing | Self::Panicked => RESTORE,
            Self::Fjall(source) | Self::Unreadable { source, .. } if io_error(source).is_none() => RESTORE,
            _ => "",
        }
    }
}

const RESTORE: &str = "; restore the directory from a backup";

/// Returns the I/O error behind an error of fjall.
fn io_error(error: &fjall::Error) -> Option<&io::Error> {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => Some(error),
        _ => None,
    }
}

fn message_of(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Poisoned => "an earlier write or sync failed".to_owned(),
        fjall::Error::Storage(fjall::LsmError::ChecksumMismatch { .. }) => "a checksum does not match".to_owned(),
        error => io_error(error).map_or_else(|| format!("{error:?}"), io::Error::to_string),
    }
}
