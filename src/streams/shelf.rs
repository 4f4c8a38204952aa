//! What readers see: the streams and their ends as far as they are written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::Notify;

use super::wire::{ContentType, Lifetime, Segment, StreamEntry, StreamPath};
use crate::sync::lock;

/// One life of a stream.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) path: StreamPath,
    pub(super) log: u64,
    pub(super) content_type: ContentType,
    pub(super) lifetime: Lifetime,
    /// Where its content before that in its own log stands.
    inherited: Arc<[Segment]>,
    end: Mutex<End>,
    changed: Notify,
}

/// How far a stream goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) tail: u64,
    pub(super) closed: bool,
    pub(super) gone: Option<Gone>,
}

/// Why there is no stream any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// It was removed.
    Removed,
    /// It is kept for its forks.
    Kept,
}

impl Shown {
    pub(super) fn of(path: &StreamPath, entry: &StreamEntry, tail: u64) -> Self {
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

    /// Where its content stands, its own log last.
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

    /// Waits until the end is as somebody wants it. Cancel-safe.
    pub(super) async fn reaches(&self, is_enough: impl Fn(End) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Listening begins before the look, so that no change falls between the two.
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
        let gone = entry.deleted.then_some(Gone::Kept);
        Self { tail, closed: entry.closed.is_some(), gone }
    }
}

/// Something that readers get to see.
#[derive(Debug)]
pub(super) enum Showing {
    Opened(Arc<Shown>),
    Moved { path: StreamPath, log: u64, end: End },
    Gone { path: StreamPath, log: u64 },
}

/// All streams that readers see.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    streams: RwLock<HashMap<StreamPath, Arc<Shown>>>,
}

impl Shelf {
    pub(super) fn find(&self, path: &StreamPath) -> Option<Arc<Shown>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    pub(super) fn show(&self, showing: Showing) {
        match showing {
            Showing::Moved { path, log, end } => {
                if let Some(shown) = self.find(&path).filter(|shown| shown.log == log) {
                    shown.set_end(end);
                }
            }
            Showing::Opened(shown) => {
                let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
                streams.insert(shown.path.clone(), shown);
            }
            Showing::Gone { path, log } => {
                let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
                let there = streams.get(&path).is_some_and(|shown| shown.log == log);
                let gone = if there { streams.remove(&path) } else { None };
                drop(streams);
                if let Some(shown) = gone {
                    shown.set_end(End { gone: Some(Gone::Removed), ..shown.end() });
                }
            }
        }
    }
}
