//! The state machine behind the committer: prepares batches, and publishes them.

use super::commit::{batch_of, bytes_of, updates_of};
use super::lifecycle::Announcer;
use super::read_view::{ReadView, Update};
use super::rules::{Change, Ledger};
use crate::store::{Batch, Machine};

/// Publishes durable changes: to readers, and to listeners in this process.
pub(super) struct Publisher {
    view: ReadView,
    lifecycle: Announcer,
}

impl Publisher {
    pub(super) fn new(view: ReadView, lifecycle_events_max: usize) -> Self {
        Self { view, lifecycle: Announcer::new(lifecycle_events_max) }
    }

    pub(super) fn view(&self) -> &ReadView {
        &self.view
    }

    pub(super) fn lifecycle(&self) -> &Announcer {
        &self.lifecycle
    }
}

impl Machine for Publisher {
    type State = Ledger;
    type Change = Change;
    type Publication = Vec<Update>;

    fn bytes(change: &Change) -> usize {
        bytes_of(change)
    }

    fn prepare<'a>(&self, changes: impl Iterator<Item = &'a Change> + Clone, ledger: &Ledger) -> (Batch, Vec<Update>) {
        (batch_of(changes.clone(), ledger), updates_of(changes, ledger))
    }

    fn publish<'a>(&self, updates: Vec<Update>, changes: impl Iterator<Item = &'a Change>) {
        updates.into_iter().for_each(|update| self.view.publish(update));
        if self.lifecycle.has_listeners() {
            for change in changes {
                if let Change::Happened(event) = change {
                    self.lifecycle.announce(event);
                }
            }
        }
    }
}
