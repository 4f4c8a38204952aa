//! What was shown to readers, on its way to the board: the last thing of each stream, so that the writer never waits
//! and nothing grows beyond the number of streams.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::rules::Seen;
use crate::streams::read_view::Update;
use crate::streams::wire::StreamPath;
use crate::sync::lock;

/// Told by the writer after each commit, read by whoever looks at the board.
#[derive(Debug, Default)]
pub(in crate::streams) struct Notices {
    /// Whether anybody wants to know.
    wanted: AtomicBool,
    seen: Mutex<HashMap<StreamPath, Seen>>,
    bell: Notify,
}

impl Notices {
    /// What there will be to tell of an update, if anybody wants to know.
    pub(in crate::streams) fn of(&self, update: &Update) -> Option<(StreamPath, Seen)> {
        if !self.wanted.load(Ordering::Acquire) {
            return None;
        }
        let there = |log, tail| Seen::There { log, tail };
        Some(match update {
            Update::Created(stream) => (stream.path.clone(), there(stream.log, stream.end().tail)),
            Update::End { path, log, end } if end.deleted.is_some() => (path.clone(), Seen::Gone { log: *log }),
            Update::End { path, log, end } => (path.clone(), there(*log, end.tail)),
            Update::Removed { path, log } => (path.clone(), Seen::Gone { log: *log }),
        })
    }

    /// Tells it, now that readers see it.
    pub(in crate::streams) fn tell(&self, notices: Vec<(StreamPath, Seen)>) {
        if notices.is_empty() {
            return;
        }
        lock(&self.seen).extend(notices);
        self.bell.notify_one();
    }

    /// From now on somebody wants to know.
    pub(super) fn want(&self) {
        self.wanted.store(true, Ordering::Release);
    }

    /// Everything that was told and not taken yet.
    pub(super) fn take(&self) -> HashMap<StreamPath, Seen> {
        std::mem::take(&mut *lock(&self.seen))
    }

    /// Has whoever waits look again.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits for the next thing that is told. Cancel-safe.
    pub(super) async fn told(&self) {
        self.bell.notified().await;
    }
}
