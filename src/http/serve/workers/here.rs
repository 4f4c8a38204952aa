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
    /// How many requests are being answered.
    open: usize,
}

thread_local! {
    static HERE: Cell<Here> = const { Cell::new(Here { worker: None, connection: 0, turns: 0, open: 0 }) };
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

/// A request that is being answered, until it is dropped.
pub(in crate::http) struct Asking {
    worker: Option<u64>,
}

/// A request begins, of the connection with that number.
pub(in crate::http) fn asks(connection: u64) -> Asking {
    let mut here = HERE.get();
    here.turns += u64::from(here.connection != connection);
    HERE.set(Here { connection, open: here.open + 1, ..here });
    Asking { worker: here.worker }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let here = HERE.get();
        // Elsewhere it would count for nobody: outside of workers requests may move from thread to thread.
        if self.worker.is_some() && here.worker == self.worker {
            HERE.set(Here { open: here.open - 1, ..here });
        }
    }
}

/// Whose turn it is on this thread. `None` if another request is being answered here, too, and on threads that are no worker,
/// where others may depend on it in ways nobody can tell.
pub(crate) fn turn() -> Option<Turn> {
    let Here { worker, turns, open, .. } = HERE.get();
    worker.filter(|_| open == 1).map(|worker| Turn { worker, number: turns })
}
