//! Rebuilds the state of all streams from the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use super::commit::{COUNTERS, NEXT_LOG, PRODUCERS, STREAMS, batch_of, updates_of};
use super::config::{Config, StoreKind};
use super::error::Error;
use super::read_view::{ReadView, ReadableStream, Update};
use super::rules::{Ledger, Limits, ROWS_SINCE};
use super::wire::{Offset, ProducerEntry, StreamEntry, StreamPath, log_of_producer_key};
use crate::store::{Gap, Owner, Store, Table};

/// Keys that are read in one scan.
const PAGE_KEYS: usize = 1024;

/// Pages of streams that may wait for the ledger.
const PAGES_MAX: usize = 8;

/// Numbers of logs per millisecond. As long as fewer logs are opened, a restart cannot assign a number again.
const LOGS_PER_MS: u64 = 1 << 20;

/// Returns the state of all streams, and the view of it for readers. Errors: [`Error::StoreRead`], [`Error::MalformedEntry`].
pub(super) fn recover(store: &dyn Store, config: &Config, now_ms: u64) -> Result<(Ledger, ReadView), Error> {
    let content_bytes_max = match config.store {
        StoreKind::Memory => config.content_bytes_max as u64,
        StoreKind::Disk => u64::MAX,
    };
    let limits = Limits {
        streams_max: config.streams_max,
        content_bytes_max,
        producers_max: config.producers_max,
        producer_idle_ms: config.producer_idle_ms,
        fork_segments_max: config.fork_segments_max,
        registry: config.registry,
        registry_gone_ms: config.registry_gone_ms,
        // A small memory store has little space for them.
        registry_gone_bytes_max: (config.registry_gone_bytes_max as u64).min(content_bytes_max / 16),
    };
    // Numbers start from the time, so that entity tags stay unique across restarts even if nothing is stored.
    let number = |key| -> Result<Option<u64>, Error> {
        let value = store.get(COUNTERS, key)?;
        Ok(value.and_then(|bytes| Some(u64::from_be_bytes((*bytes).try_into().ok()?))))
    };
    let next_log = number(NEXT_LOG)?;
    let mut ledger = Ledger::new(limits, now_ms.saturating_mul(LOGS_PER_MS).max(next_log.unwrap_or(0)));
    let view = ReadView::default();
    restore_streams(store, (&mut ledger, now_ms), &view)?;
    ledger.restore_rows_since(number(ROWS_SINCE)?);
    let mut changes = Vec::new();
    ledger.reconcile_registry(now_ms, &mut changes);
    let batch = batch_of(changes.iter(), &ledger);
    if !batch.is_empty() {
        store.commit(batch)?;
    }
    updates_of(changes.iter(), &ledger).into_iter().for_each(|update| view.publish(update));
    Ok((ledger, view))
}

/// A stream as the store has it.
struct StoredStream {
    path: StreamPath,
    entry: StreamEntry,
    tail: u64,
    producers: Vec<(Arc<str>, ProducerEntry)>,
}

/// Fills the view on a thread that reads and the ledger on this one: each takes a second for a million streams.
fn restore_streams(store: &dyn Store, (ledger, now_ms): (&mut Ledger, u64), view: &ReadView) -> Result<(), Error> {
    let (reader, pages) = sync_channel(PAGES_MAX);
    std::thread::scope(|scope| {
        let named = std::thread::Builder::new().name("streams-recovery".into());
        let reading = named.spawn_scoped(scope, move || read_streams(store, view, &reader));
        let reading = reading.map_err(|error| Error::StoreRead { cause: format!("no thread to read it: {error}") })?;
        for StoredStream { path, entry, tail, producers } in pages.into_iter().flatten() {
            ledger.restore(now_ms, path.clone(), entry, tail);
            producers.into_iter().for_each(|(id, entry)| ledger.restore_producer(&path, id, entry));
        }
        reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Reads all streams: adds them to the view, and sends them to the ledger in pages.
fn read_streams(store: &dyn Store, view: &ReadView, pages: &SyncSender<Vec<StoredStream>>) -> Result<(), Error> {
    let mut logs = read_logs(store)?;
    let mut page = Vec::with_capacity(PAGE_KEYS);
    each(store, STREAMS, |key, value| {
        let (path, entry) = StreamEntry::read(key, value)?;
        let tail = store.end(Owner::Streams.log(entry.log))?.unwrap_or(entry.base);
        let LogInfo { producers, gaps } = logs.remove(&entry.log).unwrap_or_default();
        for (from, until) in gaps {
            tracing::error!(%path, %from, %until, "the stream is damaged: the content between the offsets is lost");
        }
        view.publish(Update::Created(Arc::new(ReadableStream::new(&path, &entry, tail))));
        page.push(StoredStream { path, entry, tail, producers });
        if page.len() == PAGE_KEYS {
            // Fails only if the receiving thread has panicked.
            pages.send(std::mem::replace(&mut page, Vec::with_capacity(PAGE_KEYS))).ok();
        }
        Ok(())
    })?;
    pages.send(page).ok();
    Ok(())
}

/// Everything stored about a log, besides the entry of its stream.
#[derive(Default)]
struct LogInfo {
    producers: Vec<(Arc<str>, ProducerEntry)>,
    /// Lost content, from an offset to another.
    gaps: Vec<(Offset, Offset)>,
}

/// Reads producers and gaps, by log. A log without a stream is a remainder of a deletion.
fn read_logs(store: &dyn Store) -> Result<HashMap<u64, LogInfo>, Error> {
    let mut logs: HashMap<u64, LogInfo> = HashMap::new();
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

/// Calls `read` with every key and value of a table, in the order of the keys.
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
