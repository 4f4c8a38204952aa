//! What a commit writes of the changes, and what readers see of them then.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::rules::{Change, Ledger};
use super::shelf::{End, Showing, Shown};
use super::wire::{StreamPath, producer_key, producers_of};
use crate::store::{Batch, LogId, Table};

/// Streams: path to entry.
pub(super) const STREAMS: Table = Table("streams");

/// What there is once: the number of the next log.
pub(super) const COUNTERS: Table = Table("streams-counters");

/// Its key.
pub(super) const NEXT_LOG: &[u8] = b"next-log";

/// Producers: log and id to entry.
pub(super) const PRODUCERS: Table = Table("stream-producers");

/// The content of a change.
pub(super) fn bytes_of(change: &Change) -> usize {
    match change {
        Change::Record { record, .. } => record.len(),
        Change::Kept { value, .. } => value.as_ref().map_or(0, bytes::Bytes::len),
        Change::Created { .. }
        | Change::Entry { .. }
        | Change::Producer { .. }
        | Change::Removed { .. }
        | Change::Happened(_) => 0,
    }
}

/// Records and removals in their order, then each entry once, as it is after all of them.
pub(super) fn batch_of<'a>(changes: impl Iterator<Item = &'a Change>, ledger: &Ledger) -> Batch {
    let (mut batch, mut entries, mut producers) = (Batch::default(), BTreeSet::new(), BTreeSet::new());
    for change in changes {
        match change {
            Change::Record { log, start, record, .. } => batch.append(LogId(*log), *start, record.clone()),
            Change::Removed { path, log } => {
                batch.drop_log(LogId(*log));
                batch.sweep(PRODUCERS, producers_of(*log));
                batch.remove(STREAMS, key_of(path));
            }
            Change::Created { path } => {
                // Without it, a clock that is set back could give a number out again.
                let next = bytes::Bytes::copy_from_slice(&ledger.next_log().to_be_bytes());
                batch.put(COUNTERS, bytes::Bytes::from_static(NEXT_LOG), next);
                entries.insert(path);
            }
            Change::Entry { path } => drop(entries.insert(path)),
            Change::Kept { table, key, value: Some(value) } => batch.put(*table, key.clone(), value.clone()),
            Change::Kept { table, key, value: None } => batch.remove(*table, key.clone()),
            Change::Producer { path, log, id } => drop(producers.insert((path, *log, id))),
            Change::Happened(_) => {}
        }
    }
    for path in entries {
        if let Some(stream) = ledger.stream(path) {
            batch.put(STREAMS, key_of(path), stream.entry.to_bytes());
        }
    }
    for (path, log, id) in producers {
        let stream = ledger.stream(path).filter(|stream| stream.entry.log == log);
        if let Some(producer) = stream.and_then(|stream| stream.producer(id)) {
            batch.put(PRODUCERS, producer_key(log, id), producer.to_bytes());
        }
    }
    batch
}

fn key_of(path: &StreamPath) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(path.as_str().as_bytes())
}

/// What readers get to see of the changes once they are written.
pub(super) fn showings_of<'a>(changes: impl Iterator<Item = &'a Change>, ledger: &Ledger) -> Vec<Showing> {
    let mut showings: Vec<Showing> = Vec::new();
    for change in changes {
        match change {
            Change::Created { path } => {
                let shown = ledger.stream(path).map(|stream| Shown::of(path, &stream.entry, stream.tail));
                showings.extend(shown.map(|shown| Showing::Opened(Arc::new(shown))));
            }
            Change::Entry { path } | Change::Record { path, .. } => {
                let moved = |showing: &Showing| matches!(showing, Showing::Moved { path: last, .. } if last == path);
                let Some(stream) = ledger.stream(path).filter(|_| !showings.last().is_some_and(moved)) else {
                    continue;
                };
                let (log, end) = (stream.entry.log, End::of(&stream.entry, stream.tail));
                showings.push(Showing::Moved { path: path.clone(), log, end });
            }
            Change::Producer { .. } | Change::Kept { .. } | Change::Happened(_) => {}
            Change::Removed { path, log } => showings.push(Showing::Gone { path: path.clone(), log: *log }),
        }
    }
    showings
}
