//! Errors of a store.

use std::io;
use std::path::PathBuf;

use super::LogId;
use super::obstacle::{self, Obstacle};

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
    /// The system refuses something that the store needs. Nothing is damaged, and a later try can succeed.
    #[error("{obstacle}{}", source.place())]
    Unavailable {
        /// The condition of the system.
        obstacle: Obstacle,
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
    #[error("{} cannot be opened: {source}{}", dir.display(), source.remedy())]
    Open {
        /// The data directory.
        dir: PathBuf,
        /// The cause.
        source: Cause,
    },
    /// The journal cannot be written. Whether the batch is on the disk is unknown until the store is opened again.
    #[error("the journal cannot be written: {}: {}", path.display(), obstacle::message_of(source))]
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
    #[error("the thread {thread} cannot be started: {}", obstacle::message_of(source))]
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
    #[error("{}", obstacle::message_of(.0))]
    Io(#[from] io::Error),
    /// An I/O error of a known file.
    #[error("{}: {}", path.display(), obstacle::message_of(source))]
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
    Fjall(fjall::Error),
    /// fjall reports an error while it reads something that the store needs.
    #[error("{what} cannot be read: {}", message_of(cause))]
    Unreadable {
        /// The thing that was read.
        what: &'static str,
        /// fjall's error; not a `source`, as its words mean nothing to our readers.
        cause: fjall::Error,
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
    /// The obstacle was met by an earlier call and is not over.
    #[error("an earlier call met it")]
    Earlier,
    /// The database failed and could not be opened again yet.
    #[error("it could not be opened again; the log has the cause")]
    NotOpen,
    /// The directory has a format that is not read here.
    #[error("this folder has format {found}, this program reads {read}")]
    Format {
        /// The format of the directory.
        found: u32,
        /// The format that is read.
        read: u32,
    },
    /// The directory is a backup that was interrupted.
    #[error("it is a backup that was interrupted before it was complete")]
    IncompleteBackup,
    /// The directory has nothing of a store.
    #[error("it is no data folder, as it has no file `format`")]
    NoStore,
    /// A file is where only files of the store may be.
    #[error("{} is not a file of a store", path.display())]
    ForeignFile {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    /// Creates the error of a record that cannot be read: it is damaged, unless the system got in the way.
    pub(super) fn reading(log: LogId, position: u64, source: Cause) -> Self {
        match source.obstacle() {
            Some(obstacle) => Self::Unavailable { obstacle, source },
            None => Self::Damaged { log, position, source },
        }
    }

    /// Creates the error of a database that cannot be read or written.
    pub(super) fn database(dir: PathBuf, source: Cause) -> Self {
        match source.obstacle() {
            Some(obstacle) => Self::Unavailable { obstacle, source },
            None => Self::Database { dir, source },
        }
    }

    /// Returns true if the data is intact as far as is known, and a later try can succeed without a restart.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::FlushFailing | Self::Database { source: Cause::NotOpen, .. })
    }
}

impl From<fjall::Error> for Cause {
    fn from(error: fjall::Error) -> Self {
        Self::Fjall(error)
    }
}

impl Cause {
    /// Returns the condition of the system behind it; `None` if the data is to blame.
    pub fn obstacle(&self) -> Option<Obstacle> {
        match self {
            Self::Io(error) | Self::File { source: error, .. } => Obstacle::of(error),
            Self::Fjall(cause) | Self::Unreadable { cause, .. } => io_error(cause).and_then(Obstacle::of),
            _ => None,
        }
    }

    /// Returns the file that it is about, as the end of a sentence; empty if that is not known.
    fn place(&self) -> String {
        match self {
            Self::File { path, .. } => format!(" ({})", path.display()),
            _ => String::new(),
        }
    }

    /// Returns the way out for a directory that cannot be opened, as the end of a sentence; empty if the cause says it.
    fn remedy(&self) -> &'static str {
        match self {
            Self::DamagedFile { .. } | Self::Malformed(_) | Self::RecordsMissing | Self::Panicked => RESTORE,
            Self::Fjall(cause) | Self::Unreadable { cause, .. } if io_error(cause).is_none() => RESTORE,
            Self::Format { .. } => "; start the version of exorelay that wrote it, or restore a backup of this format",
            Self::IncompleteBackup => "; remove it and make it again with `exorelay streams backup`",
            Self::ForeignFile { .. } => "; move it elsewhere",
            Self::NoStore => "; give the data folder of a server, or a backup of one",
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

/// Returns what an error of fjall means for the reader of ours.
fn message_of(error: &fjall::Error) -> String {
    use fjall::LsmError;
    if let Some(error) = io_error(error) {
        return obstacle::message_of(error);
    }
    let text = match error {
        fjall::Error::Poisoned => "an earlier write or sync failed",
        fjall::Error::Storage(LsmError::ChecksumMismatch { .. }) => "a checksum does not match",
        fjall::Error::Locked => "another process has its files open",
        fjall::Error::InvalidVersion(_) | fjall::Error::Storage(LsmError::InvalidVersion(_)) => {
            "a file has a format that this program does not read"
        }
        fjall::Error::JournalRecovery(_) | fjall::Error::InvalidTrailer | fjall::Error::InvalidTag(_) => {
            "its own journal (the file that ends in .jnl) is damaged"
        }
        fjall::Error::Unrecoverable | fjall::Error::Storage(LsmError::Unrecoverable) => "a file is missing or damaged",
        fjall::Error::Storage(_) | fjall::Error::Decompress(_) => "a file is damaged",
        _ => "it is not usable any more",
    };
    text.to_owned()
}
