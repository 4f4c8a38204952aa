//! The streams and their ends as readers see them: everything that is durable, and nothing else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::Notify;

use super::wire::{ContentType, Layout, Lifetime, Offset, Segment, StreamEntry, StreamPath};
use crate::sync::lock;

/// One life of a stream: from its creation to its deletion.
#[derive(Debug)]
pub(super) struct ReadableStream {
    pub(super) path: StreamPath,
    pub(super) log: u64,
    era: u64,
    pub(super) content_type: ContentType,
    pub(super) lifetime: Lifetime,
    /// The segments of other logs that hold the content before that of its own log.
    inherited: Arc<[Segment]>,
    end: Mutex<End>,
    changed: Notify,
    /// The position of the damage that was found last; `u64::MAX` if none was.
    damaged_at: AtomicU64,
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
            era: entry.era,
            content_type: entry.content_type.clone(),
            lifetime: entry.lifetime.clone(),
            inherited: Arc::clone(&entry.inherited),
            end: Mutex::new(End::of(entry, tail)),
            changed: Notify::new(),
            damaged_at: AtomicU64::new(u64::MAX),
        }
    }

    /// The parts of its content.
    pub(super) fn layout(&self) -> Layout<'_> {
        Layout { inherited: &self.inherited, log: self.log, era: self.era }
    }

    /// The offset of a position.
    pub(super) fn offset_at(&self, position: u64) -> Offset {
        self.layout().offset_at(position)
    }

    /// A number that identifies this life, also after damage: its era. Logs of streams that are older than eras are greater
    /// than all eras.
    pub(super) fn life(&self) -> u64 {
        if self.era == 0 { self.log } else { self.era }
    }

    /// Notes damage, so that the next reader can be answered with what is before it.
    pub(super) fn note_damage(&self, position: u64) {
        self.damaged_at.store(position, Ordering::Relaxed);
    }

    /// Returns the position up to which a read from `start` to `end` can succeed, as far as that is known.
    pub(super) fn readable_until(&self, start: u64, end: u64) -> u64 {
        let damaged_at = self.damaged_at.load(Ordering::Relaxed);
        if start < damaged_at { end.min(damaged_at) } else { end }
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
