//! Rebuilds the state of all streams from the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use super::commit::{COUNTERS, NEXT_ERA, NEXT_LOG, PRODUCERS, STREAMS, batch_of, updates_of};
use super::config::{Config, StoreKind};
use super::error::Error;
use super::read_view::{ReadView, ReadableStream, Update};
use super::rules::{Change, Ledger, Limits, ROWS_SINCE};
use super::wire::{Offset, ProducerEntry, StreamEntry, StreamPath, log_of_producer_key};
use crate::store::{Gap, Owner, Store, Table};

/// Keys that are read in one scan.
const PAGE_KEYS: usize = 1024;

/// Pages of streams that may wait for the ledger.
const PAGES_MAX: usize = 8;

/// Forgotten producers of which one stream keeps a mark.
const PRODUCERS_FORGOTTEN_MAX: usize = 65_536;

/// Numbers of logs per millisecond. As long as fewer logs are opened, a restart cannot assign a number again.
const LOGS_PER_MS: u64 = 1 << 20;

/// Numbers of eras per millisecond, for the same purpose. Eras have fewer digits than logs.
const ERAS_PER_MS: u64 = 1000;

/// Returns the state of all streams, and the view of it for readers. Errors: [`Error::StoreRead`], [`Error::MalformedEntry`].
pub(super) fn recover(store: &dyn Store, config: &Config, now_ms: u64) -> Result<(Ledger, ReadView), Error> {
    let content_bytes_max = match config.store {
        StoreKind::Memory => config.content_bytes_max as u64,
        StoreKind::Disk => u64::MAX,
    };
    let limits = Limits {
        streams_max: config.streams_max,
        content_bytes_max,
        metadata_bytes_max: config.metadata_bytes_max as u64,
        producers_max: config.producers_max,
        producers_bytes_max: config.producers_bytes_max as u64,
        producers_forgotten_max: PRODUCERS_FORGOTTEN_MAX,
        producer_idle_ms: config.producer_idle_ms,
        fork_segments_max: config.fork_segments_max,
        registry: config.registry,
        registry_gone_ms: config.registry_gone_ms,
        // A small memory store has little space for them.
        registry_gone_bytes_max: (config.registry_gone_bytes_max as u64).min(content_bytes_max / 16),
    };
    // Numbers start from the time, so that entity tags and offsets stay unique across restarts even if nothing is stored.
    let number = |key| -> Result<Option<u64>, Error> {
        let value = store.get(COUNTERS, key)?;
        Ok(value.and_then(|bytes| Some(u64::from_be_bytes((*bytes).try_into().ok()?))))
    };
    let first = |stored: Option<u64>, per_ms| now_ms.saturating_mul(per_ms).max(stored.unwrap_or(0));
    let (log, era) = (first(number(NEXT_LOG)?, LOGS_PER_MS), first(number(NEXT_ERA)?, ERAS_PER_MS));
    let mut ledger = Ledger::new(limits, log, era);
    let (view, damage) = (ReadView::default(), Damage::of(store, ledger.take_era()));
    let damaged = restore_streams(store, (&mut ledger, now_ms), &view, &damage)?;
    ledger.restore_rows_since(number(ROWS_SINCE)?);
    let mut changes: Vec<Change> = damaged.into_iter().map(|path| Change::Entry { path }).collect();
    ledger.reconcile_registry(now_ms, &mut changes);
    let batch = batch_of(changes.iter(), &ledger);
    if !batch.is_empty() {
        store.commit(batch)?;
    }
    updates_of(changes.iter(), &ledger).into_iter().for_each(|update| view.publish(update));
    Ok((ledger, view))
}

/// The producers of a stream, with their ids.
type Producers = Vec<(Arc<str>, ProducerEntry)>;

/// A stream as the store has it.
struct StoredStream {
    path: StreamPath,
    entry: StreamEntry,
    tail: u64,
    producers: Producers,
}

/// Fills the view on a thread that reads and the ledger on this one: each takes a second for a million streams. Returns the
/// streams that damage has moved to another era.
fn restore_streams(
    store: &dyn Store,
    (ledger, now_ms): (&mut Ledger, u64),
    view: &ReadView,
    damage: &Damage,
) -> Result<Vec<StreamPath>, Error> {
    let (reader, pages) = sync_channel(PAGES_MAX);
    std::thread::scope(|scope| {
        let named = std::thread::Builder::new().name("streams-recovery".into());
        let reading = named.spawn_scoped(scope, move || read_streams(store, view, damage, &reader));
        let reading = reading.map_err(|error| Error::StoreRead { cause: format!("no thread to read it: {error}") })?;
        for StoredStream { path, entry, tail, producers } in pages.into_iter().flatten() {
            ledger.restore(now_ms, path.clone(), entry, tail);
            producers.into_iter().for_each(|(id, entry)| ledger.restore_producer(&path, id, entry));
        }
        reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Reads all streams: adds them to the view, and sends them to the ledger in pages. Returns those that are damaged.
fn read_streams(
    store: &dyn Store,
    view: &ReadView,
    damage: &Damage,
    pages: &SyncSender<Vec<StoredStream>>,
) -> Result<Vec<StreamPath>, Error> {
    let mut all_producers = read_producers(store)?;
    let (mut page, mut damaged) = (Vec::with_capacity(PAGE_KEYS), Vec::new());
    each(store, STREAMS, |key, value| {
        let (path, mut entry) = StreamEntry::read(key, value)?;
        let tail = store.end(Owner::Streams.log(entry.log))?.unwrap_or(entry.base);
        let producers = all_producers.remove(&entry.log).unwrap_or_default();
        let lost = damage.apply_to(&path, &mut entry);
        damaged.extend(lost.map(|_| path.clone()));
        let stream = ReadableStream::new(&path, &entry, tail);
        lost.into_iter().for_each(|position| stream.note_damage(position));
        view.publish(Update::Created(Arc::new(stream)));
        page.push(StoredStream { path, entry, tail, producers });
        if page.len() == PAGE_KEYS {
            // Fails only if the receiving thread has panicked.
            pages.send(std::mem::replace(&mut page, Vec::with_capacity(PAGE_KEYS))).ok();
        }
        Ok(())
    })?;
    pages.send(page).ok();
    Ok(damaged)
}

/// Records that the store has lost since it was opened the last time.
struct Damage {
    /// By log.
    gaps: HashMap<u64, Vec<Gap>>,
    /// True if records of any stream may be missing at its end.
    unknown: bool,
    /// The era that damaged streams move to.
    era: u64,
}

impl Damage {
    fn of(store: &dyn Store, era: u64) -> Self {
        let mut gaps: HashMap<u64, Vec<Gap>> = HashMap::new();
        for gap in store.gaps() {
            if let Some(log) = gap.log.number_of(Owner::Streams) {
                gaps.entry(log).or_default().push(gap);
            }
        }
        Self { gaps, unknown: store.has_lost_unknown(), era }
    }

    /// Moves a stream that has lost records to another era, because positions that readers know may get other content, and
    /// reports what is lost. Returns the first position that is known to be lost if it did, which is beyond the stream if none is.
    fn apply_to(&self, path: &StreamPath, entry: &mut StreamEntry) -> Option<u64> {
        let (mut start, mut first) = (0, self.unknown.then_some(u64::MAX));
        for segment in entry.layout().segments() {
            let gaps = self.gaps.get(&segment.log).into_iter().flatten();
            for Gap { from, until, .. } in gaps.filter(|gap| gap.from < segment.until && gap.until > start) {
                first = Some(first.map_or(*from, |first| first.min(*from)));
                let (from, until) = (Offset::at(self.era, *from), Offset::at(self.era, *until));
                tracing::error!(%path, %from, %until, "the stream is damaged: the content between the offsets is lost");
            }
            start = segment.until;
        }
        first.inspect(|_| entry.move_to(self.era))
    }
}

/// Reads all producers, by log. A log without a stream is a remainder of a deletion.
fn read_producers(store: &dyn Store) -> Result<HashMap<u64, Producers>, Error> {
    let mut producers: HashMap<u64, Producers> = HashMap::new();
    each(store, PRODUCERS, |key, value| {
        let (log, id) = log_of_producer_key(key)?;
        producers.entry(log).or_default().push((id.into(), ProducerEntry::read(value)?));
        Ok(())
    })?;
    Ok(producers)
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
