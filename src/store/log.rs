//! A log in memory: full chunks shared with readers, and one growing chunk.

use std::ops::Range;

use bytes::Bytes;

use super::chunk::Chunk;
use super::record::LARGE_BYTES;
use super::records::Run;

/// Size at which a chunk is closed; a longer record is a chunk of its own.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// Number of records at which a chunk is closed, however short they are.
const CHUNK_RECORDS: usize = 16 * 1024;

/// Consecutive records and their boundaries.
#[derive(Debug)]
pub(super) struct Log {
    full: Vec<Chunk<Bytes>>,
    growing: Chunk<Vec<u8>>,
}

impl Log {
    /// Creates an empty log whose first record will begin at `start`.
    pub(super) fn starting_at(start: u64) -> Self {
        Self { full: Vec::new(), growing: Chunk::starting_at(start) }
    }

    pub(super) fn end(&self) -> u64 {
        self.growing.end()
    }

    /// Returns the position of the first byte.
    pub(super) fn start(&self) -> u64 {
        self.full.first().map_or(self.growing.start, |chunk| chunk.start)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunk_count() == 0
    }

    /// Returns the number of chunks, including the growing one.
    pub(super) fn chunk_count(&self) -> usize {
        self.full.len() + usize::from(!self.growing.is_empty())
    }

    pub(super) fn append(&mut self, record: &[u8]) {
        if self.growing.bytes.len() + record.len() > CHUNK_BYTES {
            self.close_chunk();
        }
        self.growing.push(record);
        if self.growing.bytes.len() >= CHUNK_BYTES || self.growing.ends.len() >= CHUNK_RECORDS {
            self.close_chunk();
        }
    }

    /// Appends a record. A large one becomes a chunk of its own without being copied, and so keeps the buffer that it is a
    /// slice of in memory.
    pub(super) fn append_shared(&mut self, record: &Bytes) {
        if record.len() < LARGE_BYTES {
            return self.append(record);
        }
        self.close_chunk();
        let mut chunk = Chunk { start: self.end(), bytes: record.clone(), ends: Vec::with_capacity(1) };
        chunk.ends.push(u32::try_from(record.len()).expect("a record has less than 4 GiB"));
        self.growing.start = chunk.end();
        self.full.push(chunk);
    }

    /// Continues the log at `position`, leaving a gap before it.
    pub(super) fn skip_to(&mut self, position: u64) {
        self.close_chunk();
        self.growing.start = position;
    }

    fn close_chunk(&mut self) {
        if !self.growing.is_empty() {
            let next = Chunk::starting_at(self.end());
            self.full.push(std::mem::replace(&mut self.growing, next).freeze());
        }
    }

    /// Closes the growing chunk and returns all chunks, none of which changes any more.
    pub(super) fn close(&mut self) -> &[Chunk<Bytes>] {
        self.close_chunk();
        &self.full
    }

    /// Removes the first `count` chunks.
    pub(super) fn forget(&mut self, count: usize) {
        self.full.drain(..count);
    }

    /// Returns the start of the record that holds the byte at `position`; `None` if none does.
    pub(super) fn record_start(&self, position: u64) -> Option<u64> {
        let first = self.full.partition_point(|chunk| chunk.end() <= position);
        let full = self.full.get(first).map(|chunk| chunk.record_start(position));
        full.unwrap_or_else(|| self.growing.record_start(position))
    }

    /// Reads as [`super::Store::read`] does; `None` if no record begins at the start of the range. Without `one_at_least`,
    /// the first record is also left out if it does not fit.
    pub(super) fn read(&self, range: Range<u64>, bytes_max: usize, one_at_least: bool) -> Option<Run> {
        let mut run = Run { chunks: Vec::new(), end: range.start };
        if range.is_empty() || range.start == self.end() {
            return Some(run);
        }
        let first = self.full.partition_point(|chunk| chunk.end() <= range.start);
        let mut left = bytes_max;
        for chunk in &self.full[first..] {
            let inside = chunk.records(run.end, range.end, left, one_at_least && run.chunks.is_empty())?;
            left = left.saturating_sub(inside.len());
            run.push(chunk.bytes.slice(inside));
            if run.end < chunk.end() || run.end == range.end {
                return Some(run);
            }
        }
        let inside = self.growing.records(run.end, range.end, left, one_at_least && run.chunks.is_empty());
        let Some(inside) = inside else { return (!run.chunks.is_empty()).then_some(run) };
        run.push(Bytes::copy_from_slice(&self.growing.bytes[inside]));
        Some(run)
    }
}
