//! Changes that are committed together.

use bytes::Bytes;

pub use super::owner::{LogId, Table};
use super::record::Record;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Appends a record of at least one byte to a log. The first record creates the log and sets its start.
    Append {
        /// The log.
        log: LogId,
        /// The position of the record's first byte, which is the end of the record before it.
        start: u64,
        /// The bytes.
        record: Record,
    },
    /// Deletes a log, if it exists.
    Drop {
        /// The log.
        log: LogId,
    },
    /// Sets the value of a key.
    Put {
        /// The table.
        table: Table,
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
    },
    /// Removes every key that begins with `prefix`, including `prefix` itself.
    Sweep {
        /// The table.
        table: Table,
        /// The prefix.
        prefix: Bytes,
    },
    /// Removes a key, if it exists.
    Remove {
        /// The table.
        table: Table,
        /// The key.
        key: Bytes,
    },
}

/// Changes that take effect together, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub(super) writes: Vec<Write>,
}

impl Batch {
    /// Adds [`Write::Append`].
    pub fn append(&mut self, log: LogId, start: u64, record: Record) {
        self.writes.push(Write::Append { log, start, record });
    }

    /// Adds [`Write::Drop`].
    pub fn drop_log(&mut self, log: LogId) {
        self.writes.push(Write::Drop { log });
    }

    /// Adds [`Write::Put`].
    pub fn put(&mut self, table: Table, key: Bytes, value: Bytes) {
        self.writes.push(Write::Put { table, key, value });
    }

    /// Adds [`Write::Sweep`].
    pub fn sweep(&mut self, table: Table, prefix: Bytes) {
        self.writes.push(Write::Sweep { table, prefix });
    }

    /// Adds [`Write::Remove`].
    pub fn remove(&mut self, table: Table, key: Bytes) {
        self.writes.push(Write::Remove { table, key });
    }

    /// Returns true if the batch changes nothing.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Returns the changes in order.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }
}
