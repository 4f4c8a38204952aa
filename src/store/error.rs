//! What can go wrong in a store.

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
    /// The medium failed. What the batch has changed is unknown until the store is opened again.
    #[error("the store failed: {0}")]
    Failed(String),
}
