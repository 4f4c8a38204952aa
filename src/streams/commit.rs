//! Translates changes into what the store writes and what readers see.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::read_view::{End, ReadableStream, Update};
use super::rules::{Change, KeySpace, Ledger, Record};
use super::wire::{StreamPath, producer_key, producers_of};
use crate::store::{self, Batch, Owner, Table};

/// Streams: path to entry.
pub(super) const STREAMS: Table = Owner::Streams.table("streams");

/// Single values: the numbers of the next log and of the next era.
pub(super) const COUNTERS: Table = Owner::Streams.table("streams-counters");

/// The key of the number of the next log.
pub(super) const NEXT_LOG: &[u8] = b"next-log";

/// The key of the number of the next era.
pub(super) const NEXT_ERA: &[u8] = b"next-era";

/// Producers: log and id to entry.
pub(super) const PRODUCERS: Table = Owner::Streams.table("stream-producers");

/// Subscriptions: id to entry.
const SUBSCRIPTIONS: Table = Owner::Streams.table("subscriptions");

/// Links of subscriptions: id and path to entry.
const SUBSCRIPTION_LINKS: Table = Owner::Streams.table("subscription-links");

/// Secrets of subscriptions: name to secret.
const SUBSCRIPTION_SECRETS: Table = Owner::Streams.table("subscription-secrets");

/// The table of a key space.
pub(super) const fn table_of(space: KeySpace) -> Table {
    match space {
        KeySpace::Subscriptions => SUBSCRIPTIONS,
        KeySpace::SubscriptionLinks => SUBSCRIPTION_LINKS,
        KeySpace::SubscriptionSecrets => SUBSCRIPTION_SECRETS,
        KeySpace::Counters => COUNTERS,
    }
}

/// The bytes of content in a change.
pub(super) fn bytes_of(change: &Change) -> usize {
    match change {
        Change::Record { record, .. } => record.len(),
        Change::Value { value, .. } => value.as_ref().map_or(0, bytes::Bytes::len),
        Change::Created { .. }
        | Change::Entry { .. }
        | Change::Producer { .. }
        | Change::Removed { .. }
        | Change::Sweep { .. }
        | Change::Happened(_) => 0,
    }
}

/// The batch for these changes: records and removals in order, then each entry once, as it is after all of them.
pub(super) fn batch_of<'a>(changes: impl Iterator<Item = &'a Change>, ledger: &Ledger) -> Batch {
    let (mut batch, mut entries, mut producers) = (Batch::default(), BTreeSet::new(), BTreeSet::new());
    for change in changes {
        match change {
            Change::Record { log, start, record, .. } => batch.append(Owner::Streams.log(*log), *start, stored(record)),
            Change::Removed { path, log } => {
                batch.drop_log(Owner::Streams.log(*log));
                batch.sweep(PRODUCERS, producers_of(*log));
                batch.remove(STREAMS, key_of(path));
            }
            Change::Created { path } => {
                // Keeps numbers unique even if the clock, which they start from, is set back.
                for (key, next) in [(NEXT_LOG, ledger.next_log()), (NEXT_ERA, ledger.next_era())] {
                    let next = bytes::Bytes::copy_from_slice(&next.to_be_bytes());
                    batch.put(COUNTERS, bytes::Bytes::from_static(key), next);
                }
                entries.insert(path);
            }
            Change::Entry { path } => drop(entries.insert(path)),
            Change::Value { space, key, value: Some(value) } => batch.put(table_of(*space), key.clone(), value.clone()),
            Change::Value { space, key, value: None } => batch.remove(table_of(*space), key.clone()),
            Change::Sweep { space, prefix } => batch.sweep(table_of(*space), prefix.clone()),
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
        let Some(stream) = ledger.stream(path).filter(|stream| stream.entry.log == log) else { continue };
        match stream.producer_row(id) {
            Some(producer) => batch.put(PRODUCERS, producer_key(log, id), producer.to_bytes()),
            None => batch.remove(PRODUCERS, producer_key(log, id)),
        }
    }
    batch
}

fn stored(record: &Record) -> store::Record {
    store::Record::with_checksum(record.bytes().clone(), record.checksum())
}

fn key_of(path: &StreamPath) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(path.as_str().as_bytes())
}

/// Updates of the readers' view for these changes. Consecutive changes of the end of one stream become one update.
pub(super) fn updates_of<'a>(changes: impl Iterator<Item = &'a Change>, ledger: &Ledger) -> Vec<Update> {
    let mut updates: Vec<Update> = Vec::new();
    for change in changes {
        match change {
            Change::Created { path } => {
                let stream = ledger.stream(path).map(|stream| ReadableStream::new(path, &stream.entry, stream.tail));
                updates.extend(stream.map(|stream| Update::Created(Arc::new(stream))));
            }
            Change::Entry { path } | Change::Record { path, .. } => {
                let repeats = |update: &Update| matches!(update, Update::End { path: last, .. } if last == path);
                let Some(stream) = ledger.stream(path).filter(|_| !updates.last().is_some_and(repeats)) else {
                    continue;
                };
                let (log, end) = (stream.entry.log, End::of(&stream.entry, stream.tail));
                updates.push(Update::End { path: path.clone(), log, end });
            }
            Change::Producer { .. } | Change::Value { .. } | Change::Sweep { .. } | Change::Happened(_) => {}
            Change::Removed { path, log } => updates.push(Update::Removed { path: path.clone(), log: *log }),
        }
    }
    updates
}
