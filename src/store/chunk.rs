//! Consecutive records of one log with their boundaries, as kept in memory and in pages on disk.

use std::ops::Range;

use bytes::Bytes;

/// Consecutive records of one log.
#[derive(Debug, Clone)]
pub(super) struct Chunk<B> {
    /// The position of the first byte.
    pub(super) start: u64,
    pub(super) bytes: B,
    /// The end of each record, relative to the start of the chunk.
    pub(super) ends: Vec<u32>,
}

impl Chunk<Vec<u8>> {
    /// Creates an empty chunk whose first record will begin at `start`.
    pub(super) fn starting_at(start: u64) -> Self {
        Self { start, bytes: Vec::new(), ends: Vec::new() }
    }

    pub(super) fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(u32::try_from(self.bytes.len()).expect("a chunk has less than 4 GiB"));
    }

    /// Makes the chunk immutable, so that its bytes can be shared.
    pub(super) fn freeze(self) -> Chunk<Bytes> {
        let Self { start, bytes, mut ends } = self;
        ends.shrink_to_fit();
        Chunk { start, bytes: bytes.into(), ends }
    }
}

impl<B: AsRef<[u8]>> Chunk<B> {
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.as_ref().len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the length of each record.
    pub(super) fn lengths(&self) -> impl Iterator<Item = u32> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        self.ends.iter().zip(starts).map(|(end, start)| end - start)
    }

    /// Returns the start of the record that holds the byte at `position`; `None` if none does.
    pub(super) fn record_start(&self, position: u64) -> Option<u64> {
        let at = usize::try_from(position.checked_sub(self.start)?).ok()?;
        let index = self.ends.partition_point(|end| (*end as usize) <= at);
        let before = if index == 0 { 0 } else { self.ends[index - 1] };
        (index < self.ends.len()).then(|| self.start + u64::from(before))
    }

    /// Returns the bytes of the records from position `from` that fit into `bytes_max`, cut at `until`. With
    /// `one_at_least`, the first record need not fit. `None` if no record begins at `from`.
    pub(super) fn records(&self, from: u64, until: u64, bytes_max: usize, one_at_least: bool) -> Option<Range<usize>> {
        let from = usize::try_from(from.checked_sub(self.start)?).ok()?;
        let next = self.ends.partition_point(|end| (*end as usize) <= from);
        let begins = if next == 0 { 0 } else { self.ends[next - 1] as usize };
        if begins != from || next == self.ends.len() {
            return None;
        }
        let until = usize::try_from(until.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let fitting = self.ends.partition_point(|end| (*end as usize) <= from.saturating_add(bytes_max));
        let end = match fitting > next {
            true => self.ends[fitting - 1] as usize,
            false if one_at_least => self.ends[next] as usize,
            false => from,
        };
        Some(from..end.min(until).max(from))
    }
}
