//! The state of all streams.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::change::Change;
use super::content::Record;
use super::limits::Limits;
use super::refusal::Refusal;
use super::registry_rows::Rows;
use super::stream::Stream;
use crate::streams::wire::{Offset, ProducerEntry, StreamEntry, StreamPath};

/// The state of every stream.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(super) limits: Limits,
    /// Boxed, because the map may be half empty.
    pub(super) streams: HashMap<StreamPath, Box<Stream>>,
    /// Their paths, in order.
    pub(super) paths: BTreeSet<StreamPath>,
    /// The times at which the sweep looks at streams.
    pub(super) sweeps: BTreeSet<(u64, StreamPath)>,
    /// Content of all streams, including the registry.
    pub(super) content_bytes: u64,
    /// The bytes that all streams take besides their content.
    pub(super) metadata_bytes: u64,
    /// The name of the registry.
    pub(super) registry: StreamPath,
    pub(super) rows: Rows,
    next_log: u64,
    next_era: u64,
}

impl Ledger {
    /// An empty ledger. `first_log` and `first_era` must be greater than every log and every era that ever existed.
    pub(crate) fn new(limits: Limits, first_log: u64, first_era: u64) -> Self {
        let (streams, paths, sweeps) = (HashMap::new(), BTreeSet::new(), BTreeSet::new());
        let (registry, rows) = (StreamPath::registry(), Rows::default());
        let (next_log, next_era) = (first_log, first_era);
        Self { limits, streams, paths, sweeps, content_bytes: 0, metadata_bytes: 0, registry, rows, next_log, next_era }
    }

    /// Restores a stream from the store. The last accesses may not have been written, so the stream counts as used until the
    /// latest time that an unwritten access can have: it may expire late, but never early.
    pub(crate) fn restore(&mut self, now_ms: u64, path: StreamPath, entry: StreamEntry, tail: u64) {
        self.next_log = self.next_log.max(entry.log + 1);
        self.next_era = self.next_era.max(entry.era + 1);
        let mut stream = Stream::new(entry, tail);
        if let Some(slack_ms) = stream.access_slack_ms() {
            let latest = stream.entry.accessed_ms.saturating_add(slack_ms);
            // A time in the future is from a clock that was set back since; it must not keep the stream forever.
            stream.entry.accessed_ms = latest.min(now_ms);
        }
        self.content_bytes += stream.own_bytes();
        self.rows.restore(&path, &stream.entry);
        stream.sweep_at_ms = stream.next_sweep_ms(now_ms);
        stream.sweep_at_ms.map(|at_ms| self.sweeps.insert((at_ms, path.clone())));
        self.insert(path, stream);
    }

    /// Adds a stream, whose path no other one has.
    pub(super) fn insert(&mut self, path: StreamPath, stream: Stream) {
        self.paths.insert(path.clone());
        self.streams.insert(path.clone(), Box::new(stream));
        self.count_metadata(&path);
    }

    /// Restores a producer from the store.
    pub(crate) fn restore_producer(&mut self, path: &StreamPath, id: Arc<str>, entry: ProducerEntry) {
        if let Some(stream) = self.streams.get_mut(path) {
            stream.producers_mut().restore(id, entry);
            self.count_metadata(path);
        }
    }

    /// The stream, in any state.
    pub(crate) fn stream(&self, path: &StreamPath) -> Option<&Stream> {
        self.streams.get(path).map(|stream| &**stream)
    }

    /// All streams, in any state and no particular order.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (&StreamPath, &Stream)> {
        self.streams.iter().map(|(path, stream)| (path, &**stream))
    }

    /// The paths of all streams, in any state, from `first` on and after `after`, in order.
    pub(crate) fn paths_from<'a>(
        &'a self,
        first: &str,
        after: Option<&StreamPath>,
    ) -> impl Iterator<Item = &'a StreamPath> + use<'a> {
        let from = match after.map(StreamPath::as_str).filter(|after| *after >= first) {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(first),
        };
        self.paths.range::<str, _>((from, Bound::Unbounded))
    }

    /// Skips the numbers of logs below `first_log`.
    pub(crate) fn skip_logs(&mut self, first_log: u64) {
        self.next_log = self.next_log.max(first_log);
    }

    /// The number of streams, including those kept for their forks, without the registry.
    pub(crate) fn streams_count(&self) -> usize {
        self.streams.len() - usize::from(self.streams.contains_key(&self.registry))
    }

    /// The bytes of content of all streams, including the registry.
    pub(crate) fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// The stream, if it is neither deleted nor expired. Errors: [`Refusal::NotFound`], [`Refusal::Deleted`].
    pub(crate) fn live(&self, now_ms: u64, path: &StreamPath) -> Result<&Stream, Refusal> {
        let found = self.streams.get(path).ok_or_else(|| Refusal::NotFound { path: path.clone() })?;
        check_live(found, now_ms, path)?;
        Ok(found)
    }

    pub(super) fn live_mut(&mut self, now_ms: u64, path: &StreamPath) -> Result<&mut Stream, Refusal> {
        let found = self.streams.get_mut(path).ok_or_else(|| Refusal::NotFound { path: path.clone() })?;
        check_live(found, now_ms, path)?;
        Ok(found)
    }

    /// Counts a follower until [`Ledger::unfollow`]; a stream with followers is in use, and does not expire for being idle.
    /// Errors: [`Refusal::NotFound`], [`Refusal::Deleted`].
    pub(crate) fn follow(&mut self, now_ms: u64, path: &StreamPath) -> Result<(), Refusal> {
        let stream = self.live_mut(now_ms, path)?;
        stream.touch(now_ms);
        stream.followers += 1;
        Ok(())
    }

    /// Ends what [`Ledger::follow`] began, if the stream still has the life that `log` identifies.
    pub(crate) fn unfollow(&mut self, now_ms: u64, path: &StreamPath, log: u64) {
        let Some(stream) = self.streams.get_mut(path).filter(|stream| stream.entry.log == log) else { return };
        stream.touch(now_ms);
        stream.followers = stream.followers.saturating_sub(1);
    }

    /// Checks that clients may change the stream. Errors: [`Refusal::ReadOnly`].
    pub(super) fn check_writable(&self, path: &StreamPath) -> Result<(), Refusal> {
        if path.is_registry() { Err(Refusal::ReadOnly { path: path.clone() }) } else { Ok(()) }
    }

    /// The number of the next log; no smaller one will be used again.
    pub(crate) fn next_log(&self) -> u64 {
        self.next_log
    }

    pub(super) fn take_log(&mut self) -> u64 {
        self.next_log += 1;
        self.next_log - 1
    }

    /// The next era; no smaller one will be used again.
    pub(crate) fn next_era(&self) -> u64 {
        self.next_era
    }

    pub(crate) fn take_era(&mut self) -> u64 {
        self.next_era += 1;
        self.next_era - 1
    }

    /// Checks the limit of content. Errors: [`Refusal::Full`].
    pub(super) fn check_capacity(&self, record: Option<&Record>) -> Result<(), Refusal> {
        self.check_content(record.map_or(0, |record| record.len() as u64))
    }

    /// Checks that more content fits. Errors: [`Refusal::Full`].
    pub(crate) fn check_content(&self, bytes: u64) -> Result<(), Refusal> {
        if self.content_bytes + bytes > self.limits.content_bytes_max {
            return Err(Refusal::Full { bytes_max: self.limits.content_bytes_max });
        }
        Ok(())
    }

    /// Appends a record to a stream, if there is one.
    pub(super) fn append_record(&mut self, path: &StreamPath, record: Record, changes: &mut Vec<Change>) {
        let Some(stream) = self.streams.get_mut(path) else { return };
        let start = stream.tail;
        stream.tail += record.len() as u64;
        self.content_bytes += record.len() as u64;
        changes.push(Change::Record { path: path.clone(), log: stream.entry.log, start, record });
    }

    /// Schedules the next look of the sweep at the stream.
    pub(super) fn plan_sweep(&mut self, path: &StreamPath, now_ms: u64) {
        let next = self.streams.get(path).and_then(|stream| stream.next_sweep_ms(now_ms));
        self.sweep_next(path, next);
    }

    /// Lets the sweep look at the stream at this time next, or not at all.
    pub(super) fn sweep_next(&mut self, path: &StreamPath, next: Option<u64>) {
        let Some(stream) = self.streams.get_mut(path) else { return };
        let before = std::mem::replace(&mut stream.sweep_at_ms, next);
        if before == next {
            return;
        }
        before.map(|at_ms| self.sweeps.remove(&(at_ms, path.clone())));
        next.map(|at_ms| self.sweeps.insert((at_ms, path.clone())));
    }
}

fn check_live(stream: &Stream, now_ms: u64, path: &StreamPath) -> Result<(), Refusal> {
    if stream.entry.deleted {
        return Err(Refusal::Deleted { path: path.clone() });
    }
    if stream.has_expired(now_ms) {
        return Err(Refusal::NotFound { path: path.clone() });
    }
    Ok(())
}

/// Checks that a stream does not get too long for offsets. Errors: [`Refusal::TooLong`].
pub(super) fn check_length(path: &StreamPath, tail: u64, record: Option<&Record>) -> Result<(), Refusal> {
    let bytes = record.map_or(0, |record| record.len() as u64);
    if tail.saturating_add(bytes) >= Offset::POSITION_MAX {
        return Err(Refusal::TooLong { path: path.clone() });
    }
    Ok(())
}
