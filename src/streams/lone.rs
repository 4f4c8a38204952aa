//! Who writes alone.

use crate::http::Turn;

/// Whoever has written so often in a row with nobody beside it is taken to be alone the next time, too.
const WRITES: u32 = 4;

/// Whether nobody but one connection has written lately, or asked anything else of the worker that serves it. Such a writer
/// may keep its worker waiting for the medium: nobody is kept waiting with it, and it is not handed over to another thread
/// and back, which costs as much as the write. Whoever comes meanwhile waits for one commit, once.
#[derive(Debug, Default)]
pub(super) struct Lone {
    turn: Option<Turn>,
    /// How often it has written on that turn, as far as it matters.
    writes: u32,
}

impl Lone {
    /// Somebody writes on that turn. Answers whether it is alone.
    pub(super) fn is_alone(&mut self, turn: Option<Turn>) -> bool {
        if turn.is_none() || self.turn != turn {
            *self = Self { turn, writes: 0 };
        }
        self.writes = WRITES.min(self.writes + 1);
        turn.is_some() && self.writes == WRITES
    }
}
