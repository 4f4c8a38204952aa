//! The registry: a stream of the server's own that records which streams begin, close and end.
//!
//! A row is part of the same batch as the change that it describes.

use super::change::Change;
use super::event::{Happened, LifecycleEvent};
use super::ledger::Ledger;
use super::stream::Stream;
use crate::streams::wire::{ContentType, Lifetime, Offset, Row, StreamEntry, StreamPath, registry_record};

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
            (true, true) | (false, false) => {}
            (false, true) => self.remove(self.registry.clone(), changes),
            (true, false) => {
                let live = self.streams.iter().filter(|(_, stream)| !stream.entry.deleted);
                let mut live: Vec<_> = live.map(|(path, stream)| (path.clone(), stream.entry.clone())).collect();
                live.sort_by(|one, other| one.0.cmp(&other.0));
                for (path, entry) in &live {
                    self.append_row(now_ms, Row::Insert, (path, entry), changes);
                }
            }
        }
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
            let own = self.registry_entry(now_ms);
            self.streams.insert(registry.clone(), Box::new(Stream::new(own.clone(), 0)));
            changes.push(Change::Created { path: registry.clone() });
            self.append_record(&registry, registry_record(Row::Insert, &registry, &own, now_ms).into(), changes);
        }
        self.append_record(&registry, registry_record(row, path, entry, now_ms).into(), changes);
        self.stream(&registry).map(Stream::next).expect("it was just written")
    }

    fn registry_entry(&mut self, now_ms: u64) -> StreamEntry {
        StreamEntry {
            log: self.take_log(),
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
