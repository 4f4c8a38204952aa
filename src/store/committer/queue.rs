//! The state of a machine, and the changes that wait to be committed: what the lock of a committer protects.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::Queued;
use super::error::{CommitError, Failure};
use super::machine::Machine;
use crate::store::{Batch, Reservation};

/// State and waiting changes.
pub(super) struct Queue<M: Machine> {
    pub(super) state: M::State,
    /// The first failure; nothing is accepted after it.
    pub(super) failure: Option<Arc<Failure>>,
    entries: Vec<Entry<M::Change>>,
    waiting_bytes: usize,
    /// Set from the moment when a commit is due until it has ended with nothing queued.
    committing: bool,
}

/// The changes of one decision.
pub(super) struct Entry<C> {
    changes: Vec<C>,
    /// `None` if the caller makes the commit itself.
    outcome: Option<oneshot::Sender<Result<(), CommitError>>>,
    /// Held until the entry is dropped.
    _reservation: Option<Reservation>,
}

/// Everything that one commit takes out of the queue.
pub(super) struct Taken<M: Machine> {
    pub(super) entries: Vec<Entry<M::Change>>,
    pub(super) batch: Batch,
    pub(super) publication: M::Publication,
}

impl<M: Machine> Queue<M> {
    pub(super) fn new(state: M::State) -> Self {
        Self { state, failure: None, entries: Vec::new(), waiting_bytes: 0, committing: false }
    }

    /// Returns an error if nothing more is accepted: [`CommitError::Failed`], [`CommitError::Busy`].
    pub(super) fn check(&self, waiting_bytes_max: usize) -> Result<(), CommitError> {
        match &self.failure {
            Some(failure) => Err(CommitError::Failed(Arc::clone(failure))),
            None if self.waiting_bytes > waiting_bytes_max => Err(CommitError::Busy { bytes: self.waiting_bytes }),
            None => Ok(()),
        }
    }

    /// Returns true if everything that was decided is durable.
    pub(super) fn is_idle(&self) -> bool {
        self.entries.is_empty() && !self.committing
    }

    /// Marks a commit as due. Returns true if none was.
    pub(super) fn begin_commit(&mut self) -> bool {
        !std::mem::replace(&mut self.committing, true)
    }

    pub(super) fn push(&mut self, entry: Entry<M::Change>) {
        self.waiting_bytes += entry.changes.iter().map(M::bytes).sum::<usize>();
        self.entries.push(entry);
    }

    /// Takes everything that waits; `None` if nothing does.
    pub(super) fn take(&mut self, machine: &M) -> Option<Taken<M>> {
        if self.entries.is_empty() {
            return None;
        }
        self.committing = true;
        self.waiting_bytes = 0;
        let entries = std::mem::take(&mut self.entries);
        let (batch, publication) = machine.prepare(entries.iter().flat_map(Entry::changes), &self.state);
        Some(Taken { entries, batch, publication })
    }

    /// Ends a commit. The next one is due at once if something was queued meanwhile.
    pub(super) fn end_commit(&mut self) -> Queued {
        self.committing = !self.entries.is_empty();
        if self.committing { Queued::More } else { Queued::Nothing }
    }

    /// Accepts nothing any more, and returns everything that waits.
    pub(super) fn fail(&mut self, failure: &Arc<Failure>) -> Vec<Entry<M::Change>> {
        self.failure.get_or_insert_with(|| Arc::clone(failure));
        std::mem::take(&mut self.entries)
    }
}

impl<C> Entry<C> {
    pub(super) fn new(
        changes: Vec<C>,
        outcome: Option<oneshot::Sender<Result<(), CommitError>>>,
        reservation: Option<Reservation>,
    ) -> Self {
        Self { changes, outcome, _reservation: reservation }
    }

    pub(super) fn changes(&self) -> std::slice::Iter<'_, C> {
        self.changes.iter()
    }

    /// Answers the caller, unless it has gone away.
    pub(super) fn answer(self, outcome: Result<(), CommitError>) {
        if let Some(sender) = self.outcome {
            sender.send(outcome).ok();
        }
    }
}
