//! What one commit changes.

use bytes::Bytes;

pub use super::owner::{LogId, Table};
use super::record::Record;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Puts a record, at least one byte long, at the end of a log. The first one of a log says where the log starts.
    Append {
        /// The log; it exists from its first record on.
        log: LogId,
        /// The position of its first byte: the end of the record before it.
        start: u64,
        /// The bytes.
        record: Record,
    },
    /// Throws a log away; no error if there is none.
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
    /// Takes every key away that begins with `prefix`, the prefix itself included.
    Sweep {
        /// The table.
        table: Table,
        /// What the keys begin with.
        prefix: Bytes,
    },
    /// Takes a key away; no error if there is none.
    Remove {
        /// The table.
        table: Table,
        /// The key.
        key: Bytes,
    },
}

/// Changes that happen together, in their order.
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

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The changes, in their order.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }
}
