//! What every store can do.

use std::ops::Range;

use bytes::Bytes;

use super::batch::{Batch, LogId, Table};
use super::error::Error;
use super::reservation::Reservation;

/// How long a commit takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Microseconds: callers may stay on their thread.
    Immediate,
    /// As long as a medium takes: callers must not hold up a thread that others need.
    Blocking,
}

/// Consecutive bytes of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// The bytes, in order, shared with the store.
    pub chunks: Vec<Bytes>,
    /// The position after the last byte.
    pub end: u64,
}

impl Run {
    /// Puts bytes behind those there are.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.end += bytes.len() as u64;
            self.chunks.push(bytes);
        }
    }
}

/// Records that were there and are not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The log.
    pub log: LogId,
    /// The position of the first byte that is missing.
    pub from: u64,
    /// The position after the last one.
    pub until: u64,
}

/// Where records are kept. Calls may come from several threads at once; commits are made one after the other.
pub trait Store: Send + Sync + 'static {
    /// How long commits take.
    fn pace(&self) -> Pace;

    /// Makes every change of the batch, or none. When it returns, the changes are as durable as the store promises,
    /// and visible. Blocks as [`Store::pace`] says.
    ///
    /// Errors: [`Error::Gap`] and [`Error::Empty`] changed nothing; after [`Error::Failed`] no further commit may be
    /// tried until the store was opened again.
    fn commit(&self, batch: Batch) -> Result<(), Error>;

    /// Reserves space for `bytes` of content until they are committed; all owners of the store share the space. Small
    /// changes, such as deletions, need no reservation. After a refusal, others follow until the medium has enough free space
    /// again. Never blocks. Errors: [`Error::NoRoom`].
    fn reserve(&self, _bytes: u64) -> Result<Reservation, Error> {
        Ok(Reservation::unlimited())
    }

    /// Reads whole records from the one that begins at `range.start`, as many as fit into `bytes_max`, at least one;
    /// the last one is cut at `range.end`. An empty range, and one that starts at the end of the log, gives an empty
    /// run. May block as long as a medium takes.
    ///
    /// Errors: [`Error::NoRecord`], [`Error::Damaged`], [`Error::Failed`].
    fn read(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Result<Run, Error>;

    /// The same without blocking, and perhaps fewer records; `None` if that cannot be told without the medium.
    fn read_now(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Option<Result<Run, Error>>;

    /// The position after the last record; `None` for a log without records. Errors: [`Error::Failed`].
    fn end(&self, log: LogId) -> Result<Option<u64>, Error>;

    /// What was missing when the store was opened; what is around it can be read.
    fn gaps(&self) -> Vec<Gap> {
        Vec::new()
    }

    /// The value of a key. May block. Errors: [`Error::Damaged`], [`Error::Failed`].
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Keys after `after` (from the first one without it) with their values, in order, at most `count_max`. May block.
    /// Errors: [`Error::Failed`].
    fn scan(&self, table: Table, after: Option<&[u8]>, count_max: usize) -> Result<Vec<(Bytes, Bytes)>, Error>;
}
