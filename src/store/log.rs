//! One log in memory: full chunks that readers share, and one chunk that still grows.

use std::ops::Range;

use bytes::Bytes;

use super::records::Run;

/// A chunk that has grown to this size is closed; a longer record is a chunk of its own.
const CHUNK_BYTES: usize = 64 * 1024;

/// Records one after the other, and where each ends.
#[derive(Debug)]
pub(super) struct Log {
    full: Vec<Chunk<Bytes>>,
    growing: Chunk<Vec<u8>>,
}

#[derive(Debug)]
struct Chunk<B> {
    start: u64,
    bytes: B,
    /// Where each record ends, counted from the start of the chunk.
    ends: Vec<u32>,
}

impl Log {
    /// A log whose first record will begin at `start`.
    pub(super) fn starting_at(start: u64) -> Self {
        Self { full: Vec::new(), growing: Chunk { start, bytes: Vec::new(), ends: Vec::new() } }
    }

    pub(super) fn end(&self) -> u64 {
        self.growing.end()
    }

    pub(super) fn append(&mut self, record: &[u8]) {
        if !self.growing.bytes.is_empty() && self.growing.bytes.len() + record.len() > CHUNK_BYTES {
            self.close_chunk();
        }
        self.growing.bytes.extend_from_slice(record);
        self.growing.ends.push(u32::try_from(self.growing.bytes.len()).expect("a record has less than 4 GiB"));
        if self.growing.bytes.len() >= CHUNK_BYTES {
            self.close_chunk();
        }
    }

    fn close_chunk(&mut self) {
        let next = Chunk { start: self.end(), bytes: Vec::new(), ends: Vec::new() };
        let Chunk { start, bytes, mut ends } = std::mem::replace(&mut self.growing, next);
        ends.shrink_to_fit();
        self.full.push(Chunk { start, bytes: Bytes::from(bytes), ends });
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
            run.end += inside.len() as u64;
            if !inside.is_empty() {
                run.chunks.push(chunk.bytes.slice(inside));
            }
            if run.end < chunk.end() || run.end == range.end {
                return Some(run);
            }
        }
        let inside = self.growing.records(run.end, range.end, left, run.chunks.is_empty());
        let Some(inside) = inside else { return (!run.chunks.is_empty()).then_some(run) };
        run.end += inside.len() as u64;
        if !inside.is_empty() {
            run.chunks.push(Bytes::copy_from_slice(&self.growing.bytes[inside]));
        }
        Some(run)
    }
}

impl<B: AsRef<[u8]>> Chunk<B> {
    fn end(&self) -> u64 {
        self.start + self.bytes.as_ref().len() as u64
    }

    /// The bytes from `from` that belong to records which fit into `bytes_max`, cut at `until`. With `one_at_least`,
    /// the first record need not fit. `None` if no record begins at `from`.
    fn records(&self, from: u64, until: u64, bytes_max: usize, one_at_least: bool) -> Option<Range<usize>> {
        let from = usize::try_from(from.checked_sub(self.start)?).ok()?;
        let next = self.ends.partition_point(|end| (*end as usize) <= from);
        let begins = if next == 0 { 0 } else { self.ends[next - 1] as usize };
        if begins != from || next == self.ends.len() {
            return None;
        }
        let wanted = usize::try_from(until.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let fitting = self.ends.partition_point(|end| (*end as usize) <= from.saturating_add(bytes_max));
        let end = match fitting > next {
            true => self.ends[fitting - 1] as usize,
            false if one_at_least => self.ends[next] as usize,
            false => from,
        };
        Some(from..end.min(wanted).max(from))
    }
}
