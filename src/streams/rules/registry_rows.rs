//! The rows of the registry that are of streams that exist, and the age of the others.

use crate::streams::wire::{Row, StreamEntry, StreamPath, registry_record_bytes};

/// The state of the registry's rows.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Approximate length of one row for each stream that exists.
    pub(super) live_bytes: u64,
    /// The time of the oldest row of a stream that is gone, or of a row that replaced another.
    pub(super) gone_since_ms: Option<u64>,
}

impl Rows {
    /// Counts a stream that is restored from the store.
    pub(super) fn restore(&mut self, path: &StreamPath, entry: &StreamEntry) {
        if !entry.deleted {
            self.count(Row::Insert, path, entry);
        }
    }

    pub(super) fn count(&mut self, row: Row, path: &StreamPath, entry: &StreamEntry) {
        let bytes = registry_record_bytes(path, entry);
        match row {
            Row::Insert => self.live_bytes += bytes,
            Row::Update => {}
            Row::Deleted | Row::Expired => self.live_bytes = self.live_bytes.saturating_sub(bytes),
        }
    }
}
