//! The interface of every store.

use std::ops::Range;

use bytes::Bytes;

use super::batch::{Batch, LogId, Table};
use super::error::Error;
use super::reservation::Reservation;

/// The duration of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Microseconds: callers may commit on their own thread.
    Immediate,
    /// As long as a disk takes: callers must not commit on a thread that others need.
    Blocking,
}

/// Consecutive bytes of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// The bytes in order, shared with the store.
    pub chunks: Vec<Bytes>,
    /// The position after the last byte.
    pub end: u64,
}

impl Run {
    /// Appends bytes.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.end += bytes.len() as u64;
            self.chunks.push(bytes);
        }
    }
}

/// Records that were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The log.
    pub log: LogId,
    /// The position of the first missing byte.
    pub from: u64,
    /// The position after the last missing byte.
    pub until: u64,
}

/// A store of logs and tables. Threads may call it concurrently; commits are made one after the other.
pub trait Store: Send + Sync + 'static {
    /// Returns the duration of commits.
    fn pace(&self) -> Pace;

    /// Applies every change of the batch, or none. When it returns, the changes are visible, and as durable as the store
    /// promises. Blocks as [`Store::pace`] says.
    ///
    /// Errors: [`Error::Gap`] and [`Error::Empty`] changed nothing; after any other error no further commit may be tried
    /// until the store has been opened again.
    fn commit(&self, batch: Batch) -> Result<(), Error>;

    /// Reserves space for `bytes` of content until they are committed; all owners of the store share the space. Small
    /// changes, such as deletions, need no reservation. After a refusal, others follow until the disk has enough free space
    /// again. Never blocks. Errors: [`Error::DiskFull`], [`Error::FlushFailing`].
    fn reserve(&self, _bytes: u64) -> Result<Reservation, Error> {
        Ok(Reservation::unlimited())
    }

    /// Returns the reason why the store cannot do all of its work now, although it can again later without a restart. Never
    /// blocks. Errors: [`Error::Unavailable`], [`Error::FlushFailing`].
    fn readiness(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Reads whole records from the one that begins at `range.start`: as many as fit into `bytes_max`, but at least one;
    /// the last one is cut at `range.end`. An empty range, and one that starts at the end of the log, gives an empty
    /// run. May block as long as a disk takes.
    ///
    /// Errors: [`Error::NoRecord`], [`Error::Damaged`], [`Error::Unavailable`], [`Error::Database`].
    fn read(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Result<Run, Error>;

    /// Reads without blocking, perhaps fewer records; `None` if the disk is needed.
    fn read_now(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Option<Result<Run, Error>>;

    /// Returns the position after the last record; `None` for a log without records.
    fn end(&self, log: LogId) -> Result<Option<u64>, Error>;

    /// Returns the records that were found missing when the store was opened; those around them can be read.
    fn gaps(&self) -> Vec<Gap> {
        Vec::new()
    }

    /// Returns true if more was lost than [`Store::gaps`] names: the last records of any log may be missing.
    fn has_lost_unknown(&self) -> bool {
        false
    }

    /// Returns the start of the record that holds the byte at `position`. May block. Errors: [`Error::NoRecord`],
    /// [`Error::Damaged`], [`Error::Database`].
    fn record_start(&self, log: LogId, position: u64) -> Result<u64, Error>;

    /// Returns the first position after this one at which a read can go on if the record here is damaged or missing; `None` if
    /// nothing follows it. May block. Errors: [`Error::Damaged`], [`Error::Database`].
    fn start_after(&self, _log: LogId, _position: u64) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    /// Returns the value of a key. May block. Errors: [`Error::Database`].
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Returns at most `count_max` keys in order with their values, from the first key or the one after `after`. May block.
    /// Errors: [`Error::Database`].
    fn scan(&self, table: Table, after: Option<&[u8]>, count_max: usize) -> Result<Vec<(Bytes, Bytes)>, Error>;
}
