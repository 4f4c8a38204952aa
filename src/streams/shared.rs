//! The state that all handles of one set of streams share.

use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::config::Config;
use super::event_cache::EventCache;
use super::metrics::Metrics;
use super::read_budget::ReadBudget;
use super::rules::Ledger;
use super::subscriptions::SubscriptionService;
use super::writer::Writer;
use crate::store::Store;

/// The state behind [`Streams`](super::Streams) and [`Reader`](super::Reader). Cheap to clone; the tasks end with the last
/// clone.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) inner: Arc<Inner>,
    pub(super) tasks_end: Arc<DropGuard>,
}

pub(super) struct Inner {
    pub(super) config: Config,
    pub(super) writer: Arc<Writer>,
    pub(super) metrics: Metrics,
    pub(super) event_cache: EventCache,
    pub(super) read_budget: ReadBudget,
    pub(super) subscriptions: SubscriptionService,
    pub(super) draining: CancellationToken,
    /// Ends the tasks.
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Shared {
    pub(super) fn writer(&self) -> &Arc<Writer> {
        &self.inner.writer
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        self.inner.writer.store()
    }

    pub(super) fn with_ledger<A>(&self, look: impl FnOnce(&mut Ledger, u64) -> A) -> A {
        self.inner.writer.with_ledger(look)
    }
}
