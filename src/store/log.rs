//! One log in memory: full chunks that readers share, and one chunk that still grows.

use std::ops::Range;

use bytes::Bytes;

use super::chunk::Chunk;
use super::records::Run;

/// A chunk that has grown to this size is closed; a longer record is a chunk of its own.
const CHUNK_BYTES: usize = 64 * 1024;

/// Records one after the other, and where each ends.
#[derive(Debug)]
pub(super) struct Log {
    full: Vec<Chunk<Bytes>>,
    growing: Chunk<Vec<u8>>,
}

impl Log {
    /// A log whose first record will begin at `start`.
    pub(super) fn starting_at(start: u64) -> Self {
        Self { full: Vec::new(), growing: Chunk::starting_at(start) }
    }

    pub(super) fn end(&self) -> u64 {
        self.growing.end()
    }

    pub(super) fn append(&mut self, record: &[u8]) {
        if !self.growing.is_empty() && self.growing.bytes.len() + record.len() > CHUNK_BYTES {
            self.close_chunk();
        }
        self.growing.push(record);
        if self.growing.bytes.len() >= CHUNK_BYTES {
            self.close_chunk();
        }
    }

    fn close_chunk(&mut self) {
        let next = Chunk::starting_at(self.end());
        self.full.push(std::mem::replace(&mut self.growing, next).freeze());
    }

    /// See [`super::Store::read`]; `None` if no record begins at the start of the range.
    pub(super) fn read(&self, range: Range<u64>, bytes_max: usize) -> Option<Run> {
        let mut run = Run { chunks: Vec::new(), end: range.start };
        if range.is_empty() || range.start == self.end() {
            return Some(run);
        }
        let first = self.full.partition_point(|chunk| chunk.end() <= range.start);
        let mut left = bytes_max;
        for chunk in &self.full[first..] {
            let inside = chunk.records(run.end, range.end, left, run.chunks.is_empty())?;
            left = left.saturating_sub(inside.len());
            run.push(chunk.bytes.slice(inside));
            if run.end < chunk.end() || run.end == range.end {
                return Some(run);
            }
        }
        let inside = self.growing.records(run.end, range.end, left, run.chunks.is_empty());
        let Some(inside) = inside else { return (!run.chunks.is_empty()).then_some(run) };
        run.push(Bytes::copy_from_slice(&self.growing.bytes[inside]));
        Some(run)
    }
}
