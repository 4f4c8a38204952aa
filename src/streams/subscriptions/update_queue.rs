//! Stream updates on their way from the writer to the subscriptions.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::rules::StreamUpdate;
use crate::streams::read_view::Update;
use crate::streams::wire::StreamPath;
use crate::sync::lock;

/// A queue that keeps only the latest update of each stream, so that the writer never waits and the queue never holds
/// more entries than there are streams.
#[derive(Debug, Default)]
pub(in crate::streams) struct UpdateQueue {
    /// False until the first subscription exists: until then updates are not collected.
    enabled: AtomicBool,
    pending: Mutex<HashMap<StreamPath, StreamUpdate>>,
    notify: Notify,
}

impl UpdateQueue {
    /// Returns the entry to push for `update` once readers can see it; `None` if there are no subscriptions.
    pub(in crate::streams) fn entry_of(&self, update: &Update) -> Option<(StreamPath, StreamUpdate)> {
        if !self.enabled.load(Ordering::Acquire) {
            return None;
        }
        let current = |log, tail| StreamUpdate::Current { log, tail };
        Some(match update {
            Update::Created(stream) => (stream.path.clone(), current(stream.log, stream.offset_at(stream.end().tail))),
            Update::End { path, log, end, .. } if end.deleted.is_some() => {
                (path.clone(), StreamUpdate::Removed { log: *log })
            }
            Update::End { path, log, next, .. } => (path.clone(), current(*log, *next)),
            Update::Removed { path, log } => (path.clone(), StreamUpdate::Removed { log: *log }),
        })
    }

    /// Adds updates that readers can see now, and wakes the consumer.
    pub(in crate::streams) fn push(&self, updates: Vec<(StreamPath, StreamUpdate)>) {
        if updates.is_empty() {
            return;
        }
        lock(&self.pending).extend(updates);
        self.notify.notify_one();
    }

    /// Starts collecting updates.
    pub(super) fn enable(&self) {
        self.enabled.store(true, Ordering::Release);
    }

    /// Removes and returns all queued updates.
    pub(super) fn take(&self) -> HashMap<StreamPath, StreamUpdate> {
        std::mem::take(&mut *lock(&self.pending))
    }

    /// Wakes the consumer without an update.
    pub(super) fn wake(&self) {
        self.notify.notify_one();
    }

    /// Waits until an update is pushed or [`UpdateQueue::wake`] is called. Cancel-safe.
    pub(super) async fn changed(&self) {
        self.notify.notified().await;
    }
}
