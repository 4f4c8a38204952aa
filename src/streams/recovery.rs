//! Puts back what a store has kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use super::commit::{COUNTERS, NEXT_LOG, PRODUCERS, STREAMS, batch_of, updates_of};
use super::config::{Config, Kept};
use super::error::Error;
use super::read_view::{ReadView, ReadableStream, Update};
use super::rules::{Ledger, Limits};
use super::wire::{Offset, ProducerEntry, StreamEntry, StreamPath, log_of_producer_key};
use crate::store::{Gap, Owner, Store, Table};

/// Keys that are read at once.
const PAGE_KEYS: usize = 1024;

/// How many parts of so many streams may wait for the ledger to take them.
const PARTS_MAX: usize = 8;

/// How many logs may be opened in a millisecond before a restart could give a number out again.
const LOGS_PER_MS: u64 = 1 << 20;

/// The state of all streams, and what readers see of it.
pub(super) fn recover(store: &dyn Store, config: &Config, now_ms: u64) -> Result<(Ledger, ReadView), Error> {
    let limits = Limits {
        streams_max: config.streams_max,
        content_bytes_max: match config.store {
            Kept::Memory => config.content_bytes_max as u64,
            Kept::Disk => u64::MAX,
        },
        producers_max: config.producers_max,
        producer_idle_ms: config.producer_idle_ms,
        fork_segments_max: config.fork_segments_max,
        registry: config.registry,
    };
    // Time tells the lives of a stream apart across restarts, also where nothing is kept: their tags must never be equal.
    let next_log = store.get(COUNTERS, NEXT_LOG)?.and_then(|kept| Some(u64::from_be_bytes((*kept).try_into().ok()?)));
    let mut ledger = Ledger::new(limits, now_ms.saturating_mul(LOGS_PER_MS).max(next_log.unwrap_or(0)));
    let view = ReadView::default();
    restore_streams(store, (&mut ledger, now_ms), &view)?;
    let mut changes = Vec::new();
    ledger.settle_registry(now_ms, &mut changes);
    let batch = batch_of(changes.iter(), &ledger);
    if !batch.is_empty() {
        store.commit(batch)?;
    }
    updates_of(changes.iter(), &ledger).into_iter().for_each(|update| view.publish(update));
    Ok((ledger, view))
}

/// A stream as a store has kept it.
struct KeptStream {
    path: StreamPath,
    entry: StreamEntry,
    tail: u64,
    producers: Vec<(Arc<str>, ProducerEntry)>,
}

/// Fills the view on the thread that reads and the ledger on this one: either takes a second for a million streams.
fn restore_streams(store: &dyn Store, (ledger, now_ms): (&mut Ledger, u64), view: &ReadView) -> Result<(), Error> {
    let (reader, parts) = sync_channel(PARTS_MAX);
    std::thread::scope(|scope| {
        let named = std::thread::Builder::new().name("streams-recovery".into());
        let reading = named.spawn_scoped(scope, move || read_streams(store, view, &reader));
        let reading = reading.map_err(|error| Error::StoreRead { cause: format!("no thread to read it: {error}") })?;
        for KeptStream { path, entry, tail, producers } in parts.into_iter().flatten() {
            ledger.restore(now_ms, path.clone(), entry, tail);
            producers.into_iter().for_each(|(id, entry)| ledger.restore_producer(&path, id, entry));
        }
        reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Shows every stream, and hands it on with others.
fn read_streams(store: &dyn Store, view: &ReadView, parts: &SyncSender<Vec<KeptStream>>) -> Result<(), Error> {
    let mut beside = beside_entries(store)?;
    let mut part = Vec::with_capacity(PAGE_KEYS);
    each(store, STREAMS, |key, value| {
        let (path, entry) = StreamEntry::read(key, value)?;
        let tail = store.end(Owner::Streams.log(entry.log))?.unwrap_or(entry.base);
        let Beside { producers, gaps } = beside.remove(&entry.log).unwrap_or_default();
        for (from, until) in gaps {
            tracing::error!(%path, %from, %until, "the stream is damaged: what was between the offsets is missing");
        }
        view.publish(Update::Created(Arc::new(ReadableStream::new(&path, &entry, tail))));
        part.push(KeptStream { path, entry, tail, producers });
        if part.len() == PAGE_KEYS {
            // Nobody takes it any more only if the other thread has panicked.
            parts.send(std::mem::replace(&mut part, Vec::with_capacity(PAGE_KEYS))).ok();
        }
        Ok(())
    })?;
    parts.send(part).ok();
    Ok(())
}

/// What a store has kept of a stream beside its entry.
#[derive(Default)]
struct Beside {
    producers: Vec<(Arc<str>, ProducerEntry)>,
    /// What is missing, from an offset to another.
    gaps: Vec<(Offset, Offset)>,
}

/// By log. One that no stream stands on was left over from a deletion.
fn beside_entries(store: &dyn Store) -> Result<HashMap<u64, Beside>, Error> {
    let mut logs: HashMap<u64, Beside> = HashMap::new();
    each(store, PRODUCERS, |key, value| {
        let (log, id) = log_of_producer_key(key)?;
        logs.entry(log).or_default().producers.push((id.into(), ProducerEntry::read(value)?));
        Ok(())
    })?;
    let gaps = store.gaps().into_iter().filter_map(|gap| Some((gap.log.number_of(Owner::Streams)?, gap)));
    for (log, Gap { from, until, .. }) in gaps {
        logs.entry(log).or_default().gaps.push((Offset::at(from), Offset::at(until)));
    }
    Ok(logs)
}

/// Reads every key of a table, in order.
pub(super) fn each(
    store: &dyn Store,
    table: Table,
    mut read: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut after = None;
    loop {
        let page = store.scan(table, after.as_deref(), PAGE_KEYS)?;
        for (key, value) in &page {
            read(key, value)?;
        }
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.clone());
    }
}
