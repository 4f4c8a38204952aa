//! The streams and their ends as readers see them: everything that is durable, and nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::Notify;

use super::wire::{ContentType, Lifetime, Segment, StreamEntry, StreamPath};
use crate::sync::lock;

/// One life of a stream: from its creation to its deletion.
#[derive(Debug)]
pub(super) struct ReadableStream {
    pub(super) path: StreamPath,
    pub(super) log: u64,
    pub(super) content_type: ContentType,
    pub(super) lifetime: Lifetime,
    /// The segments of other logs that hold the content before that of its own log.
    inherited: Arc<[Segment]>,
    end: Mutex<End>,
    changed: Notify,
}

/// The end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) tail: u64,
    pub(super) closed: bool,
    /// `None` as long as the stream can be read.
    pub(super) deleted: Option<Deleted>,
}

/// The remains of a stream that was deleted or has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deleted {
    /// Nothing.
    Removed,
    /// Its content, for its forks.
    KeptForForks,
}

impl ReadableStream {
    pub(super) fn new(path: &StreamPath, entry: &StreamEntry, tail: u64) -> Self {
        Self {
            path: path.clone(),
            log: entry.log,
            content_type: entry.content_type.clone(),
            lifetime: entry.lifetime.clone(),
            inherited: Arc::clone(&entry.inherited),
            end: Mutex::new(End::of(entry, tail)),
            changed: Notify::new(),
        }
    }

    /// The segments that hold its content, in order; that of its own log is the last one.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment> {
        self.inherited.iter().copied().chain([Segment::rest_of(self.log)])
    }

    pub(super) fn end(&self) -> End {
        *lock(&self.end)
    }

    fn set_end(&self, end: End) {
        *lock(&self.end) = end;
        self.changed.notify_waiters();
    }

    /// Waits until `is_enough` accepts the end. Cancel-safe.
    pub(super) async fn wait_for(&self, is_enough: impl Fn(End) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registers before the check, so that no change is missed in between.
            changed.as_mut().enable();
            if is_enough(self.end()) {
                return;
            }
            changed.await;
        }
    }
}

impl End {
    pub(super) fn of(entry: &StreamEntry, tail: u64) -> Self {
        let deleted = entry.deleted.then_some(Deleted::KeptForForks);
        Self { tail, closed: entry.closed.is_some(), deleted }
    }
}

/// A change of the view.
#[derive(Debug)]
pub(super) enum Update {
    /// A stream was created.
    Created(Arc<ReadableStream>),
    /// A stream has another end.
    End { path: StreamPath, log: u64, end: End },
    /// A stream was removed.
    Removed { path: StreamPath, log: u64 },
}

/// All streams that readers see.
#[derive(Debug, Default)]
pub(super) struct ReadView {
    streams: RwLock<HashMap<StreamPath, Arc<ReadableStream>>>,
}

impl ReadView {
    pub(super) fn find(&self, path: &StreamPath) -> Option<Arc<ReadableStream>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    /// Makes a durable change visible, and wakes the readers that wait for it.
    pub(super) fn publish(&self, update: Update) {
        match update {
            Update::End { path, log, end } => {
                if let Some(stream) = self.find(&path).filter(|stream| stream.log == log) {
                    stream.set_end(end);
                }
            }
            Update::Created(stream) => {
                let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
                streams.insert(stream.path.clone(), stream);
            }
            Update::Removed { path, log } => {
                let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
                let found = streams.get(&path).is_some_and(|stream| stream.log == log);
                let removed = if found { streams.remove(&path) } else { None };
                drop(streams);
                if let Some(stream) = removed {
                    stream.set_end(End { deleted: Some(Deleted::Removed), ..stream.end() });
                }
            }
        }
    }
}
