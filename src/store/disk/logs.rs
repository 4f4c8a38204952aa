//! What is known of every log without asking the disk. Pure.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Range;

use bytes::Bytes;

use super::plan::{Extension, Plan};
use crate::store::batch::LogId;
use crate::store::chunk::Chunk;
use crate::store::records::Run;

/// One log.
#[derive(Debug)]
pub(super) enum Known {
    /// All of its records are in pages.
    Paged { end: u64 },
    /// Its last records are in the tail only, and here.
    Growing(Box<Growing>),
}

/// The records of a log that are in no page yet.
#[derive(Debug)]
pub(super) struct Growing {
    pub(super) chunk: Chunk<Vec<u8>>,
    /// The commit that brought the first of them.
    pub(super) first_commit: u64,
    /// Whether there are pages before them.
    pub(super) paged: bool,
}

/// All logs.
#[derive(Debug, Default)]
pub(super) struct Logs {
    pub(super) logs: HashMap<LogId, Known>,
    /// The logs with records in the tail, those first that have been there longest.
    pub(super) oldest: BTreeSet<(u64, LogId)>,
    /// Bytes of records that are in no page.
    pub(super) growing_bytes: usize,
    /// The commits of which the tail still has a part, and the size of that.
    pub(super) tail: VecDeque<(u64, usize)>,
    pub(super) tail_bytes: usize,
    pub(super) next_commit: u64,
}

/// What the memory can tell of a read.
pub(super) enum Look {
    /// All of it.
    Told(Option<Run>),
    /// What comes before this position is in pages.
    PagesUntil(u64),
}

impl Known {
    pub(super) fn end(&self) -> u64 {
        match self {
            Self::Paged { end } => *end,
            Self::Growing(growing) => growing.chunk.end(),
        }
    }

    pub(super) fn has_pages(&self) -> bool {
        match self {
            Self::Paged { .. } => true,
            Self::Growing(growing) => growing.paged,
        }
    }

    pub(super) fn growing(&self) -> Option<&Growing> {
        match self {
            Self::Paged { .. } => None,
            Self::Growing(growing) => Some(growing),
        }
    }
}

impl Logs {
    pub(super) fn end(&self, log: LogId) -> Option<u64> {
        self.logs.get(&log).map(Known::end)
    }

    /// Reads what is in memory; `Told(None)` if no record begins at the start of the range, which is not empty.
    pub(super) fn look(&self, log: LogId, range: &Range<u64>, bytes_max: usize, one_at_least: bool) -> Look {
        let Some(known) = self.logs.get(&log) else { return Look::Told(None) };
        let mut run = Run { chunks: Vec::new(), end: range.start };
        if range.start == known.end() {
            return Look::Told(Some(run));
        }
        match known {
            Known::Paged { end } if range.start < *end => Look::PagesUntil(*end),
            Known::Paged { .. } => Look::Told(None),
            Known::Growing(growing) if range.start < growing.chunk.start => match growing.paged {
                true => Look::PagesUntil(growing.chunk.start),
                false => Look::Told(None),
            },
            Known::Growing(growing) => {
                let inside = growing.chunk.records(range.start, range.end, bytes_max, one_at_least);
                Look::Told(inside.map(|inside| {
                    run.push(Bytes::copy_from_slice(&growing.chunk.bytes[inside]));
                    run
                }))
            }
        }
    }

    /// The plan was written: from now on it is what is known.
    pub(super) fn apply(&mut self, plan: Plan) {
        for log in plan.dropped {
            self.forget(log);
        }
        for (log, extension) in plan.extensions {
            self.extend(log, extension, plan.commit);
        }
        if let Some(tail) = plan.tail {
            self.tail.push_back((plan.commit, tail.len()));
            self.tail_bytes += tail.len();
        }
        for _ in 0..plan.trimmed.len() {
            self.tail_bytes -= self.tail.pop_front().map_or(0, |(_, bytes)| bytes);
        }
        self.next_commit = plan.commit + 1;
    }

    fn forget(&mut self, log: LogId) {
        if let Some(Known::Growing(growing)) = self.logs.remove(&log) {
            self.growing_bytes -= growing.chunk.bytes.len();
            self.oldest.remove(&(growing.first_commit, log));
        }
    }

    fn extend(&mut self, log: LogId, extension: Extension, commit: u64) {
        let Extension { chunk, paged, has_pages } = extension;
        self.growing_bytes += chunk.bytes.len();
        if !paged && let Some(Known::Growing(growing)) = self.logs.get_mut(&log) {
            return growing.chunk.extend(&chunk);
        }
        self.forget(log);
        let known = if chunk.is_empty() {
            Known::Paged { end: chunk.start }
        } else {
            self.oldest.insert((commit, log));
            Known::Growing(Box::new(Growing { chunk, first_commit: commit, paged: has_pages || paged }))
        };
        self.logs.insert(log, known);
    }
}
