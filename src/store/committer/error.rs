//! Errors of a committer.

use std::sync::Arc;

use crate::store;

/// The reason why a submission was not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// Too much is waiting to be committed; nothing was decided.
    #[error("{bytes} bytes wait to be written, try again later")]
    Busy {
        /// The size of the changes that wait.
        bytes: usize,
    },
    /// A commit failed, this one or an earlier one. It is unknown whether changes that were part of it will be there after a
    /// restart.
    #[error("the store failed, nothing is accepted until the server is restarted: {0}")]
    Failed(Arc<Failure>),
}

/// The reason why a committer accepts nothing any more.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The store did not commit a batch.
    #[error(transparent)]
    Store(store::Error),
    /// The store panicked while it committed a batch.
    #[error("the store panicked")]
    StorePanicked,
    /// The state machine panicked while a batch was prepared or published.
    #[error("the writer panicked")]
    Panicked,
}
