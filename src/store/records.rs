//! What every store can do.

use std::ops::Range;

use bytes::Bytes;

use super::batch::{Batch, LogId, Table};
use super::error::Error;

/// How long calls take.
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

/// Where records are kept. All calls may block as [`Store::pace`] says; all may come from several threads at once,
/// except that commits come one after the other.
pub trait Store: Send + Sync + 'static {
    /// How long calls take.
    fn pace(&self) -> Pace;

    /// Makes every change of the batch, or none. When it returns, the changes are as durable as the store promises,
    /// and visible.
    ///
    /// Errors: [`Error::Gap`] and [`Error::Empty`] changed nothing; after [`Error::Failed`] no further commit may be
    /// tried until the store was opened again.
    fn commit(&self, batch: Batch) -> Result<(), Error>;

    /// Reads whole records from the one that begins at `range.start`, as many as fit into `bytes_max`, at least one;
    /// the last one is cut at `range.end`. An empty range, and one that starts at the end of the log, gives an empty run.
    ///
    /// Errors: [`Error::NoRecord`], [`Error::Failed`].
    fn read(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Result<Run, Error>;

    /// The position after the last record; `None` for a log without records. Errors: [`Error::Failed`].
    fn end(&self, log: LogId) -> Result<Option<u64>, Error>;

    /// The value of a key. Errors: [`Error::Failed`].
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Keys after `after` (from the first one without it) with their values, in order, at most `count_max`.
    /// Errors: [`Error::Failed`].
    fn scan(&self, table: Table, after: Option<&[u8]>, count_max: usize) -> Result<Vec<(Bytes, Bytes)>, Error>;
}
