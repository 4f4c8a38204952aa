//! The state machine behind a committer.

use crate::store::Batch;

/// A state machine whose changes a [`Committer`](super::Committer) makes durable.
pub trait Machine: Send + Sync + 'static {
    /// The state that decisions are made against. It includes everything that was decided, durable or not.
    type State: Send + 'static;
    /// A change that a decision made to the state.
    type Change: Send + 'static;
    /// The visible effect of a commit, worked out before it.
    type Publication;

    /// The size of a change, counted against [`CommitterConfig::waiting_bytes_max`](super::CommitterConfig).
    fn bytes(change: &Self::Change) -> usize;

    /// Works out what to write for `changes`, which are in the order of the decisions, and what to publish then. Runs under
    /// the lock of the state, which all of them were applied to.
    fn prepare<'a>(
        &self,
        changes: impl Iterator<Item = &'a Self::Change> + Clone,
        state: &Self::State,
    ) -> (Batch, Self::Publication);

    /// Makes durable changes visible. Commits are published in their order, each before any of its callers is answered.
    fn publish<'a>(&self, publication: Self::Publication, changes: impl Iterator<Item = &'a Self::Change>);
}
