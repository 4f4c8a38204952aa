//! All streams, and what has to be written of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::change::Change;
use super::content::Record;
use super::refusal::Refusal;
use super::stream::Stream;
use crate::streams::wire::{Offset, ProducerEntry, StreamEntry, StreamPath};

/// Bounds that the rules keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) streams_max: usize,
    pub(crate) content_bytes_max: u64,
    pub(crate) producers_max: usize,
    pub(crate) producer_idle_ms: u64,
    pub(crate) fork_segments_max: usize,
    /// Whether the registry is kept.
    pub(crate) registry: bool,
}

/// The state of every stream.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(super) limits: Limits,
    /// In boxes: the map is half empty at times.
    pub(super) streams: HashMap<StreamPath, Box<Stream>>,
    /// When the sweep has to look at which stream.
    pub(super) sweeps: BTreeSet<(u64, StreamPath)>,
    /// The registry's included.
    pub(super) content_bytes: u64,
    /// The name of the registry.
    pub(super) registry: StreamPath,
    next_log: u64,
}

impl Ledger {
    /// No streams. `first_log` must be greater than every log there ever was.
    pub(crate) fn new(limits: Limits, first_log: u64) -> Self {
        let (streams, sweeps) = (HashMap::new(), BTreeSet::new());
        let registry = StreamPath::registry();
        Self { limits, streams, sweeps, content_bytes: 0, registry, next_log: first_log }
    }

    /// Puts back what a store has kept. Accesses may have stayed unwritten for a while, so the stream counts as used
    /// until the end of that while: it may live a little longer, and never dies too early.
    pub(crate) fn restore(&mut self, now_ms: u64, path: StreamPath, entry: StreamEntry, tail: u64) {
        self.next_log = self.next_log.max(entry.log + 1);
        let mut stream = Stream::new(entry, tail);
        if let Some(slack_ms) = stream.access_slack_ms() {
            let latest = stream.entry.accessed_ms.saturating_add(slack_ms);
            // An access in the future is from a clock that has been set back since: it must not keep the stream for ever.
            stream.entry.accessed_ms = latest.min(now_ms);
        }
        self.content_bytes += stream.own_bytes();
        stream.sweep_at_ms = stream.next_sweep_ms(now_ms);
        stream.sweep_at_ms.map(|at_ms| self.sweeps.insert((at_ms, path.clone())));
        self.streams.insert(path, Box::new(stream));
    }

    /// Puts back what a store has kept of a producer.
    pub(crate) fn restore_producer(&mut self, path: &StreamPath, id: Arc<str>, entry: ProducerEntry) {
        if let Some(stream) = self.streams.get_mut(path) {
            stream.producers_mut().insert(id, entry);
        }
    }

    /// The stream, whatever its state.
    pub(crate) fn stream(&self, path: &StreamPath) -> Option<&Stream> {
        self.streams.get(path).map(|stream| &**stream)
    }

    /// Every stream, whatever its state, in no order.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (&StreamPath, &Stream)> {
        self.streams.iter().map(|(path, stream)| (path, &**stream))
    }

    /// Gives out no log below this one any more.
    pub(crate) fn skip_logs(&mut self, first_log: u64) {
        self.next_log = self.next_log.max(first_log);
    }

    /// How many streams there are, those kept for their forks included, the registry not.
    pub(crate) fn streams_count(&self) -> usize {
        self.streams.len() - usize::from(self.streams.contains_key(&self.registry))
    }

    /// How many bytes all streams hold, the registry included.
    pub(crate) fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// The stream, if it can be used. Errors: [`Refusal::NotFound`], [`Refusal::Deleted`].
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

    /// Somebody follows it from now on, until [`Ledger::unfollow`]; it was used now, and will be in use as long.
    /// Errors: [`Refusal::NotFound`], [`Refusal::Deleted`].
    pub(crate) fn follow(&mut self, now_ms: u64, path: &StreamPath) -> Result<(), Refusal> {
        let stream = self.live_mut(now_ms, path)?;
        stream.touch(now_ms);
        stream.followers += 1;
        Ok(())
    }

    /// Somebody has stopped following the life of the stream that `log` tells.
    pub(crate) fn unfollow(&mut self, now_ms: u64, path: &StreamPath, log: u64) {
        let Some(stream) = self.streams.get_mut(path).filter(|stream| stream.entry.log == log) else { return };
        stream.touch(now_ms);
        stream.followers = stream.followers.saturating_sub(1);
    }

    /// Whether anybody but the server may change it. Errors: [`Refusal::ReadOnly`].
    pub(super) fn check_writable(&self, path: &StreamPath) -> Result<(), Refusal> {
        if path.is_registry() { Err(Refusal::ReadOnly { path: path.clone() }) } else { Ok(()) }
    }

    /// The number that the next stream's log will have; all before it have been given out.
    pub(crate) fn next_log(&self) -> u64 {
        self.next_log
    }

    pub(super) fn take_log(&mut self) -> u64 {
        self.next_log += 1;
        self.next_log - 1
    }

    pub(super) fn check_room(&self, record: Option<&Record>) -> Result<(), Refusal> {
        let bytes = record.map_or(0, |record| record.len() as u64);
        if self.content_bytes + bytes > self.limits.content_bytes_max {
            return Err(Refusal::Full { bytes_max: self.limits.content_bytes_max });
        }
        Ok(())
    }

    /// Puts a record at the end of a stream that is there.
    pub(super) fn put(&mut self, path: &StreamPath, record: Record, changes: &mut Vec<Change>) {
        let Some(stream) = self.streams.get_mut(path) else { return };
        let start = stream.tail;
        stream.tail += record.len() as u64;
        self.content_bytes += record.len() as u64;
        changes.push(Change::Record { path: path.clone(), log: stream.entry.log, start, record });
    }

    /// Has the sweep look at the stream when there may be something to do.
    pub(super) fn plan_sweep(&mut self, path: &StreamPath, now_ms: u64) {
        let Some(stream) = self.streams.get_mut(path) else { return };
        let next = stream.next_sweep_ms(now_ms);
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

/// Whether a stream can take so many bytes more. Errors: [`Refusal::TooLong`].
pub(super) fn check_length(path: &StreamPath, tail: u64, record: Option<&Record>) -> Result<(), Refusal> {
    let bytes = record.map_or(0, |record| record.len() as u64);
    if tail.saturating_add(bytes) >= Offset::POSITION_MAX {
        return Err(Refusal::TooLong { path: path.clone() });
    }
    Ok(())
}
