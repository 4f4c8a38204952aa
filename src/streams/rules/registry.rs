//! The registry: a stream of the server's own that records which streams begin, close and end.
//!
//! A row is part of the same batch as the change that it describes.

use super::change::Change;
use super::event::{Happened, LifecycleEvent};
use super::ledger::Ledger;
use super::stream::Stream;
use crate::streams::wire::{ContentType, Lifetime, Offset, Row, StreamEntry, StreamPath, registry_record};

impl Ledger {
    /// Tells what has just happened, or is about to, to a stream that is there.
    pub(super) fn tell(&mut self, now_ms: u64, path: &StreamPath, happened: Happened, changes: &mut Vec<Change>) {
        let Some(entry) = self.streams.get(path).map(|stream| stream.entry.clone()) else { return };
        let row = match &happened {
            Happened::Created | Happened::Forked { .. } => Row::Insert,
            Happened::Closed => Row::Update,
            Happened::Deleted => Row::Deleted,
            Happened::Expired => Row::Expired,
        };
        let registry_next = self.limits.registry.then(|| self.register(now_ms, row, (path, &entry), changes));
        let (path, content_type, closed) = (path.clone(), entry.content_type, entry.closed.is_some());
        let event = LifecycleEvent { path, happened, at_ms: now_ms, content_type, closed, registry_next };
        changes.push(Change::Happened(Box::new(event)));
    }

    /// Makes the registry fit the settings, once everything was put back. One that is kept no longer would tell what is
    /// not true any more; one that is new tells what there is.
    pub(crate) fn settle_registry(&mut self, now_ms: u64, changes: &mut Vec<Change>) {
        let there = self.streams.contains_key(&self.registry);
        match (self.limits.registry, there) {
            (true, true) | (false, false) => {}
            (false, true) => self.remove(self.registry.clone(), changes),
            (true, false) => {
                let live = self.streams.iter().filter(|(_, stream)| !stream.entry.deleted);
                let mut live: Vec<_> = live.map(|(path, stream)| (path.clone(), stream.entry.clone())).collect();
                live.sort_by(|one, other| one.0.cmp(&other.0));
                for (path, entry) in &live {
                    self.register(now_ms, Row::Insert, (path, entry), changes);
                }
            }
        }
    }

    /// Writes a row, whatever the bounds say: what ends must be told on a full server, too.
    fn register(
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
            self.put(&registry, registry_record(Row::Insert, &registry, &own, now_ms).into(), changes);
        }
        self.put(&registry, registry_record(row, path, entry, now_ms).into(), changes);
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
