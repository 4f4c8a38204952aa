//! The end of the writer that keeps subscriptions up to date with every decision.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::rules::{Observed, SubscriptionSet};
use crate::log_limit::LogLimit;
use crate::streams::rules::{Change, Ledger};
use crate::sync::lock;

/// Shows each decision to the subscriptions, which add their own changes to it.
pub(in crate::streams) struct Observer {
    /// False until the first subscription exists: until then decisions are not looked at.
    enabled: AtomicBool,
    /// Locked inside of the writer's lock, never across an await.
    set: Arc<Mutex<SubscriptionSet>>,
    notify: Notify,
}

impl Observer {
    pub(super) fn new(set: SubscriptionSet) -> Self {
        let enabled = AtomicBool::new(!set.is_empty());
        Self { enabled, set: Arc::new(Mutex::new(set)), notify: Notify::new() }
    }

    pub(super) fn set(&self) -> &Arc<Mutex<SubscriptionSet>> {
        &self.set
    }

    /// Starts to look at decisions. Call it before the first subscription is created.
    pub(super) fn enable(&self) {
        self.enabled.store(true, Ordering::Release);
    }

    /// Adds the changes that a decision makes to subscriptions. Call it in the decision, at its end.
    pub(in crate::streams) fn observe(&self, ledger: &Ledger, changes: &mut Vec<Change>) {
        if changes.is_empty() || !self.enabled.load(Ordering::Acquire) {
            return;
        }
        let Observed { is_news, left_out } = lock(&self.set).observe(ledger, changes);
        if is_news {
            self.notify.notify_one();
        }
        static LINES: LogLimit = LogLimit::new();
        if let Some(lines_left_out) = (left_out > 0).then(|| LINES.admit()).flatten() {
            tracing::warn!(
                links = left_out,
                lines_left_out,
                "subscriptions do not learn of new data in a stream: they have as many links as they may \
                 (streams.subscriptions_links_max, streams.subscriptions_bytes_max)"
            );
        }
    }

    /// Wakes the consumer without a decision.
    pub(super) fn wake(&self) {
        self.notify.notify_one();
    }

    /// Waits until a decision is of interest or [`Observer::wake`] is called. Cancel-safe.
    pub(super) async fn changed(&self) {
        self.notify.notified().await;
    }
}
