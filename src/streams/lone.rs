//! Who writes alone.

use crate::http::Turn;

/// Whoever has written so often in a row with nobody beside it is taken to be alone the next time, too.
const WRITES: u32 = 4;

/// Whether nobody but one connection has written lately, or asked anything else of the worker that serves it. Such a writer
/// may keep its worker waiting for the medium, and is not handed over to another thread and back, which costs as much as the
/// write. Whoever comes meanwhile waits for that one commit: before the next one the worker looks who is there, and then the
/// writer is not alone any more.
#[derive(Debug, Default)]
pub(super) struct Lone {
    turn: Option<Turn>,
    /// How often it has written on that turn, as far as it matters.
    writes: u32,
}

impl Lone {
    /// Whether somebody would be alone who writes on that turn.
    pub(super) fn would_be_alone(&self, turn: Option<Turn>) -> bool {
        turn.is_some() && self.turn == turn && self.writes + 1 >= WRITES
    }

    /// Somebody writes on that turn. Answers whether it is alone.
    pub(super) fn is_alone(&mut self, turn: Option<Turn>) -> bool {
        let alone = self.would_be_alone(turn);
        let before = if self.turn == turn { self.writes } else { 0 };
        *self = Self { turn, writes: WRITES.min(before + 1) };
        alone
    }
}
