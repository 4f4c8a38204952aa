//! The registry: a stream of the server's own that records which streams begin, close and end.
//!
//! A row is part of the same batch as the change that it describes. Rows of streams that are gone, and rows that later ones
//! replace, leave when the registry is compacted: it begins a new life with one row for each stream that exists, so readers of
//! the old one learn that their offset is gone, and start again.

use bytes::{Bytes, BytesMut};

use super::change::{Change, KeySpace};
use super::event::{Happened, LifecycleEvent};
use super::ledger::Ledger;
use super::registry_rows::Rows;
use super::stream::Stream;
use crate::streams::wire::{ContentType, Lifetime, Offset, Row, StreamEntry, StreamPath, registry_record};

/// The key of the time of the oldest row of a stream that is gone, in milliseconds since 1970; 0 if there is none.
pub(crate) const ROWS_SINCE: &[u8] = b"registry-gone-since";

/// Length of the records in which a new registry lists streams.
const RECORD_BYTES: usize = 64 * 1024;

impl Ledger {
    /// Records what has just happened, or is about to happen, to a stream: in the registry and as an event.
    pub(super) fn record_event(
        &mut self,
        now_ms: u64,
        path: &StreamPath,
        happened: Happened,
        changes: &mut Vec<Change>,
    ) {
        let Some(entry) = self.streams.get(path).map(|stream| stream.entry.clone()) else { return };
        let row = match &happened {
            Happened::Created | Happened::Forked { .. } => Row::Insert,
            Happened::Closed => Row::Update,
            Happened::Deleted => Row::Deleted,
            Happened::Expired => Row::Expired,
        };
        let registry_next = self.limits.registry.then(|| self.append_row(now_ms, row, (path, &entry), changes));
        let (path, content_type, closed) = (path.clone(), entry.content_type, entry.closed.is_some());
        let event = LifecycleEvent { path, happened, at_ms: now_ms, content_type, closed, registry_next };
        changes.push(Change::Happened(Box::new(event)));
    }

    /// Makes the registry match the settings, once everything is restored: removes one that is switched off, because it would
    /// become stale, and fills a new one with the streams that exist.
    pub(crate) fn reconcile_registry(&mut self, now_ms: u64, changes: &mut Vec<Change>) {
        let there = self.streams.contains_key(&self.registry);
        match (self.limits.registry, there) {
            (false, false) => {}
            (true, true) => self.plan_compaction(now_ms),
            (false, true) => self.remove(self.registry.clone(), changes),
            (true, false) => self.list_streams(now_ms, changes),
        }
    }

    /// Restores the time of the oldest row of a stream that is gone, from the store. None is stored by versions that never
    /// compacted: such a registry may have rows that are as old as itself.
    pub(crate) fn restore_rows_since(&mut self, since: Option<u64>) {
        let created = self.streams.get(&self.registry).map(|registry| registry.entry.created_ms);
        self.rows.gone_since_ms = since.or(created).filter(|since| *since > 0);
    }

    /// Begins a new life of the registry with the streams that exist. Offsets in the old one are gone.
    pub(super) fn compact_registry(&mut self, now_ms: u64, changes: &mut Vec<Change>) {
        self.remove(self.registry.clone(), changes);
        self.list_streams(now_ms, changes);
    }

    /// Creates the registry with a row for each stream that exists, in records of some length.
    fn list_streams(&mut self, now_ms: u64, changes: &mut Vec<Change>) {
        let live: Vec<StreamPath> = self.paths.iter().cloned().collect();
        self.begin_registry(now_ms, changes);
        let registry = self.registry.clone();
        let mut rows = BytesMut::new();
        for path in &live {
            let Some(stream) = self.streams.get(path).filter(|stream| !stream.entry.deleted) else { continue };
            self.rows.count(Row::Insert, path, &stream.entry);
            rows.extend_from_slice(&registry_record(Row::Insert, path, &stream.entry, now_ms));
            if rows.len() >= RECORD_BYTES {
                self.append_record(&registry, rows.split().freeze().into(), changes);
            }
        }
        if !rows.is_empty() {
            self.append_record(&registry, rows.freeze().into(), changes);
        }
    }

    /// Creates the registry with its own row.
    fn begin_registry(&mut self, now_ms: u64, changes: &mut Vec<Change>) {
        let (registry, own) = (self.registry.clone(), self.registry_entry(now_ms));
        self.rows = Rows::default();
        self.rows.count(Row::Insert, &registry, &own);
        changes.push(since_change(0));
        self.insert(registry.clone(), Stream::new(own.clone(), 0));
        changes.push(Change::Created { path: registry.clone() });
        self.append_record(&registry, registry_record(Row::Insert, &registry, &own, now_ms).into(), changes);
    }

    /// Appends a row and returns the offset after it. Limits do not apply: a full server must record the end of a stream, too.
    fn append_row(
        &mut self,
        now_ms: u64,
        row: Row,
        (path, entry): (&StreamPath, &StreamEntry),
        changes: &mut Vec<Change>,
    ) -> Offset {
        let registry = self.registry.clone();
        if !self.streams.contains_key(&registry) {
            self.begin_registry(now_ms, changes);
        }
        self.append_record(&registry, registry_record(row, path, entry, now_ms).into(), changes);
        self.rows.count(row, path, entry);
        if row != Row::Insert {
            if self.rows.gone_since_ms.is_none() {
                self.rows.gone_since_ms = Some(now_ms);
                changes.push(since_change(now_ms));
            }
            self.plan_compaction(now_ms);
        }
        self.stream(&registry).map(Stream::next).expect("it was just written")
    }

    /// Schedules the compaction: when the rows of streams that are gone are old enough, or at once if there are too many.
    fn plan_compaction(&mut self, now_ms: u64) {
        let registry = self.registry.clone();
        let bytes = self.streams.get(&registry).map_or(0, |registry| registry.tail);
        let gone = bytes.saturating_sub(self.rows.live_bytes);
        // Writing all rows again costs as much as there is of them, so at least as much must be gone.
        let gone_max = self.limits.registry_gone_bytes_max.max(self.rows.live_bytes);
        let due = self.rows.gone_since_ms.map(|since| match gone > gone_max {
            true => now_ms,
            false => since.saturating_add(self.limits.registry_gone_ms),
        });
        self.sweep_next(&registry, due);
    }

    fn registry_entry(&mut self, now_ms: u64) -> StreamEntry {
        StreamEntry {
            log: self.take_log(),
            era: self.take_era(),
            content_type: ContentType::json(),
            lifetime: Lifetime::Unlimited,
            created_ms: now_ms,
            accessed_ms: now_ms,
            base: 0,
            closed: None,
            last_seq: None,
            origin: None,
            inherited: std::sync::Arc::default(),
            forks: 0,
            deleted: false,
        }
    }
}

fn since_change(since_ms: u64) -> Change {
    let value = Some(Bytes::copy_from_slice(&since_ms.to_be_bytes()));
    Change::Value { space: KeySpace::Counters, key: Bytes::from_static(ROWS_SINCE), value }
}
