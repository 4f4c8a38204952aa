//! Deletion and expiry.

use super::change::Change;
use super::event::Happened;
use super::ledger::Ledger;
use super::refusal::Refusal;
use crate::streams::wire::StreamPath;

impl Ledger {
    /// Deletes a stream. If it has forks, its content is kept for them. Errors: [`Refusal::NotFound`],
    /// [`Refusal::Deleted`].
    pub(crate) fn delete(&mut self, now_ms: u64, path: &StreamPath, changes: &mut Vec<Change>) -> Result<(), Refusal> {
        self.check_writable(path)?;
        self.live(now_ms, path)?;
        self.end(now_ms, path, Happened::Deleted, changes);
        Ok(())
    }

    /// The time when [`Ledger::sweep`] has work next, in milliseconds since 1970.
    pub(crate) fn next_sweep_ms(&self) -> Option<u64> {
        self.sweeps.first().map(|(at_ms, _)| *at_ms)
    }

    /// Looks at the streams that are due, at most `streams_max` of them: ends those that have expired, writes the time of
    /// the last access of the others, and compacts the registry.
    pub(crate) fn sweep(&mut self, now_ms: u64, streams_max: usize, changes: &mut Vec<Change>) {
        for _ in 0..streams_max {
            let Some((at_ms, path)) = self.sweeps.first().filter(|(at_ms, _)| *at_ms <= now_ms).cloned() else {
                return;
            };
            self.sweeps.remove(&(at_ms, path.clone()));
            if path.is_registry() {
                self.compact_registry(now_ms, changes);
                continue;
            }
            let Some(stream) = self.streams.get_mut(&path) else { continue };
            stream.sweep_at_ms = None;
            if stream.has_expired(now_ms) {
                self.end(now_ms, &path, Happened::Expired, changes);
                continue;
            }
            if stream.followers > 0 {
                stream.touch(now_ms);
            }
            if stream.entry.accessed_ms > stream.access_written_ms {
                stream.access_written_ms = stream.entry.accessed_ms;
                changes.push(Change::Entry { path: path.clone() });
            }
            self.plan_sweep(&path, now_ms);
        }
    }

    /// Ends a stream, if there is one: keeps it for its forks, or removes it.
    pub(super) fn end(&mut self, now_ms: u64, path: &StreamPath, why: Happened, changes: &mut Vec<Change>) {
        self.record_event(now_ms, path, why, changes);
        let Some(stream) = self.streams.get_mut(path) else { return };
        if stream.entry.forks == 0 {
            return self.remove(path.clone(), changes);
        }
        stream.entry.deleted = true;
        if let Some(at_ms) = stream.sweep_at_ms.take() {
            self.sweeps.remove(&(at_ms, path.clone()));
        }
        changes.push(Change::Entry { path: path.clone() });
    }

    /// Removes a stream without forks, then the deleted streams that were kept for it alone.
    pub(super) fn remove(&mut self, path: StreamPath, changes: &mut Vec<Change>) {
        let mut next = Some(path);
        while let Some(path) = next.take() {
            let Some(stream) = self.streams.remove(&path) else { return };
            self.paths.remove(&path);
            if let Some(at_ms) = stream.sweep_at_ms {
                self.sweeps.remove(&(at_ms, path.clone()));
            }
            self.content_bytes -= stream.own_bytes();
            self.metadata_bytes -= stream.counted_bytes;
            changes.push(Change::Removed { path, log: stream.entry.log });
            let Some(origin) = stream.entry.origin else { return };
            let Ok(source) = StreamPath::stored(&origin.source) else { return };
            let Some(ancestor) = self.streams.get_mut(&source) else { return };
            ancestor.entry.forks = ancestor.entry.forks.saturating_sub(1);
            match ancestor.entry.deleted && ancestor.entry.forks == 0 {
                true => next = Some(source),
                false => changes.push(Change::Entry { path: source }),
            }
        }
    }
}
