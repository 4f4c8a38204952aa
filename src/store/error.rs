//! What can go wrong in a store.

use std::path::PathBuf;

use super::LogId;

/// Why a store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A record does not begin where its log ends; nothing of the batch was written.
    #[error("log {} ends at {end}, a record cannot begin at {start}", log.0)]
    Gap {
        /// The log.
        log: LogId,
        /// Where it ends.
        end: u64,
        /// Where the record would have begun.
        start: u64,
    },
    /// A record has no bytes; nothing of the batch was written.
    #[error("an empty record for log {}", log.0)]
    Empty {
        /// The log.
        log: LogId,
    },
    /// No record of the log begins at the position.
    #[error("no record of log {} begins at {position}", log.0)]
    NoRecord {
        /// The log.
        log: LogId,
        /// The position that was asked for.
        position: u64,
    },
    /// The records from the position on cannot be read, those elsewhere can.
    #[error("log {} is damaged at {position}: {cause}", log.0)]
    Damaged {
        /// The log.
        log: LogId,
        /// Where.
        position: u64,
        /// What the medium says.
        cause: String,
    },
    /// The medium is full, but for a reserve that keeps it working.
    #[error("the disk is full: {free_bytes} bytes are free, {needed_bytes} are needed")]
    NoRoom {
        /// What is free.
        free_bytes: u64,
        /// What would be enough.
        needed_bytes: u64,
    },
    /// Another process has the folder open.
    #[error("{} is in use by another process", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder cannot be opened.
    #[error("{} cannot be opened as a store: {cause}", dir.display())]
    Open {
        /// The folder.
        dir: PathBuf,
        /// What the medium says.
        cause: String,
    },
    /// The medium failed. What the batch has changed is unknown until the store is opened again.
    #[error("the store failed: {0}")]
    Failed(String),
}
