//! What one commit will write of the logs, decided before anything is written. Pure.

use std::collections::HashMap;

use bytes::Bytes;

use super::logs::{Known, Logs};
use super::page::{page_of, put_appended, put_dropped};
use crate::store::batch::LogId;
use crate::store::chunk::Chunk;
use crate::store::error::Error;

/// A page is full with so many bytes; a longer record is a page of its own.
pub(super) const PAGE_BYTES: usize = 64 * 1024;

/// A page is full with so many records, however short.
const PAGE_RECORDS: usize = 16 * 1024;

/// How much may be in the tail, and so in memory; then the logs that have been there longest get their pages early.
#[derive(Debug, Clone, Copy)]
pub(super) struct TailLimits {
    /// Bytes of records.
    pub(super) growing_bytes: usize,
    /// Bytes of the tail on disk, records included that are in pages by now.
    pub(super) tail_bytes: usize,
    /// Commits.
    pub(super) commits: usize,
}

impl TailLimits {
    /// Enough to fill pages of several hundred busy logs, little enough to be read in a moment at the start.
    pub(super) const USUAL: Self =
        Self { growing_bytes: 32 * 1024 * 1024, tail_bytes: 64 * 1024 * 1024, commits: 64 * 1024 };
}

/// How many logs get their pages early in one commit, at the least, and how many commits leave the tail at the most.
const STEP: usize = 64;

/// What a log gets.
#[derive(Debug)]
pub(super) struct Extension {
    /// Its records that are in no page after the commit, as far as the commit brings them.
    pub(super) chunk: Chunk<Vec<u8>>,
    /// Whether everything before the chunk is in pages after the commit.
    pub(super) paged: bool,
    /// Whether it has had pages before the commit.
    pub(super) has_pages: bool,
}

/// What one commit writes of the logs.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) commit: u64,
    pub(super) extensions: HashMap<LogId, Extension>,
    /// Log, position and content of new pages.
    pub(super) pages: Vec<(LogId, u64, Vec<u8>)>,
    pub(super) dropped: Vec<LogId>,
    /// The tail's part.
    pub(super) tail: Option<Bytes>,
    /// Commits whose part of the tail is in pages by now.
    pub(super) trimmed: Vec<u64>,
    records: usize,
}

impl Plan {
    pub(super) fn begin(logs: &Logs) -> Self {
        Self {
            commit: logs.next_commit,
            extensions: HashMap::new(),
            pages: Vec::new(),
            dropped: Vec::new(),
            tail: None,
            trimmed: Vec::new(),
            records: 0,
        }
    }

    /// Puts a record at the end of a log. Errors: [`Error::Empty`], [`Error::Gap`]; then the plan is good for nothing.
    pub(super) fn append(&mut self, logs: &Logs, log: LogId, start: u64, record: &Bytes) -> Result<(), Error> {
        if record.is_empty() {
            return Err(Error::Empty { log });
        }
        let known = logs.logs.get(&log);
        let extension = self.extensions.entry(log).or_insert_with(|| Extension::of(known, start));
        let end = extension.chunk.end();
        if end != start {
            return Err(Error::Gap { log, end, start });
        }
        let (bytes, _) = extension.size(known);
        if bytes > 0 && bytes + record.len() > PAGE_BYTES {
            extension.page(known, log, &mut self.pages);
        }
        extension.chunk.push(record);
        let (bytes, count) = extension.size(known);
        if bytes >= PAGE_BYTES || count >= PAGE_RECORDS {
            extension.page(known, log, &mut self.pages);
        }
        self.records += 1;
        Ok(())
    }

    /// Throws a log away, with everything that the commit brings of it before.
    pub(super) fn drop_log(&mut self, logs: &Logs, log: LogId) {
        self.extensions.remove(&log);
        self.pages.retain(|(paged, _, _)| *paged != log);
        if logs.logs.contains_key(&log) {
            self.dropped.push(log);
        }
    }

    /// Everything is in the plan: shortens the tail if it is too long, and writes this commit's part of it.
    pub(super) fn finish(&mut self, logs: &Logs, limits: &TailLimits) {
        let over = logs.growing_bytes > limits.growing_bytes
            || logs.tail_bytes > limits.tail_bytes
            || logs.tail.len() > limits.commits;
        if over {
            let early = logs.oldest.iter().filter(|(_, log)| !self.dropped.contains(log));
            for (_, log) in early.take(STEP.max(2 * self.records)) {
                let known = logs.logs.get(log);
                let end = known.map_or(0, Known::end);
                let extension = self.extensions.entry(*log).or_insert_with(|| Extension::of(known, end));
                extension.page(known, *log, &mut self.pages);
            }
        }
        let needed_from = logs.oldest.first().map_or(logs.next_commit, |(commit, _)| *commit);
        let unneeded = logs.tail.iter().map(|(commit, _)| *commit).take_while(|commit| *commit < needed_from);
        self.trimmed = unneeded.take(STEP).collect();
        let mut tail = Vec::new();
        self.dropped.iter().for_each(|log| put_dropped(&mut tail, *log));
        let in_tail = self.extensions.iter().filter(|(_, extension)| !extension.chunk.is_empty());
        in_tail.for_each(|(log, extension)| put_appended(&mut tail, *log, &extension.chunk));
        self.tail = Some(Bytes::from(tail)).filter(|tail| !tail.is_empty());
    }

    /// Where the pages of each log end that gets some.
    pub(super) fn page_ends(&self) -> impl Iterator<Item = (LogId, u64)> {
        let paged = self.extensions.iter().filter(|(_, extension)| extension.paged);
        paged.map(|(log, extension)| (*log, extension.chunk.start))
    }
}

impl Extension {
    /// Of a log that is known, or will begin at `start`.
    fn of(known: Option<&Known>, start: u64) -> Self {
        let chunk = Chunk::starting_at(known.map_or(start, Known::end));
        Self { chunk, paged: false, has_pages: known.is_some_and(Known::has_pages) }
    }

    /// Bytes and count of the records that are in no page.
    fn size(&self, known: Option<&Known>) -> (usize, usize) {
        let before = self.before(known).map_or((0, 0), |before| (before.bytes.len(), before.ends.len()));
        (before.0 + self.chunk.bytes.len(), before.1 + self.chunk.ends.len())
    }

    fn before<'a>(&self, known: Option<&'a Known>) -> Option<&'a Chunk<Vec<u8>>> {
        known.and_then(Known::growing).filter(|_| !self.paged).map(|growing| &growing.chunk)
    }

    /// Moves everything that is in no page to one.
    fn page(&mut self, known: Option<&Known>, log: LogId, pages: &mut Vec<(LogId, u64, Vec<u8>)>) {
        let before = self.before(known);
        if before.is_none() && self.chunk.is_empty() {
            return;
        }
        let start = before.map_or(self.chunk.start, |before| before.start);
        pages.push((log, start, page_of(before, &self.chunk)));
        self.chunk = Chunk::starting_at(self.chunk.end());
        self.paged = true;
    }
}
