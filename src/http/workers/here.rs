//! What the thread knows that runs this: which worker it is, and who asked it last.

use std::cell::Cell;

#[derive(Clone, Copy)]
struct Here {
    /// `None` on any other thread.
    worker: Option<u64>,
    /// Who asked last.
    connection: u64,
    /// How often somebody else asked than the time before.
    turns: u64,
}

thread_local! {
    static HERE: Cell<Here> = const { Cell::new(Here { worker: None, connection: 0, turns: 0 }) };
}

/// A worker, and a stretch of time in which it was asked by one connection only. Two equal ones: by nobody else in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    worker: u64,
    number: u64,
}

/// From now on this thread is that worker.
pub(super) fn belongs_to(worker: u64) {
    HERE.set(Here { worker: Some(worker), ..HERE.get() });
}

/// Whether this thread is that worker.
pub(super) fn is(worker: u64) -> bool {
    HERE.get().worker == Some(worker)
}

/// A request begins, of the connection with that number.
pub(in crate::http) fn speaks(connection: u64) {
    let here = HERE.get();
    if here.connection != connection {
        HERE.set(Here { connection, turns: here.turns + 1, ..here });
    }
}

/// Whose turn it is on this thread; `None` if it is no worker, so that others may depend on it in ways nobody can tell.
pub(crate) fn turn() -> Option<Turn> {
    let Here { worker, turns, .. } = HERE.get();
    worker.map(|worker| Turn { worker, number: turns })
}
