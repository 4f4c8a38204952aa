//! Detection of a writer that is alone.

use crate::http::Streak;

/// Writes in a row after which a connection counts as the single writer.
const WRITES: u32 = 4;

/// Detects a single active writer, which may commit on its own worker thread: handing the commit over to another thread and
/// back costs about as much as the commit itself.
///
/// A connection is the single writer after a few writes in a row without a write from any other connection, and without any
/// request from another connection to the same worker. A request that reaches that worker during the commit waits for this
/// one commit. It ends the streak, so the next commit is made by the committer's thread again.
#[derive(Debug, Default)]
pub(super) struct SingleWriter {
    streak: Option<Streak>,
    /// Writes of that streak, counted up to [`WRITES`].
    writes: u32,
}

impl SingleWriter {
    /// Returns true if the next write of this streak would be a single writer's.
    pub(super) fn expects(&self, streak: Option<Streak>) -> bool {
        streak.is_some() && self.streak == streak && self.writes + 1 >= WRITES
    }

    /// Counts a write. Returns true if it is a single writer's.
    pub(super) fn count(&mut self, streak: Option<Streak>) -> bool {
        let single = self.expects(streak);
        let before = if self.streak == streak { self.writes } else { 0 };
        *self = Self { streak, writes: WRITES.min(before + 1) };
        single
    }
}
