//! The signals of a server process: SIGTERM and Ctrl-C drain it, and the second one stops it at once. SIGHUP ends nothing,
//! unless it says that the terminal is gone.

use std::io::{self, IsTerminal};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Error, open_files};

/// The effect of a SIGHUP from a living terminal, or from no terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hangup {
    /// None: there is nothing to reload.
    Ignored,
    /// Another listener for the signal reloads what it can.
    Reloads,
}

/// The signals that a process listens for.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    on_hangup: Hangup,
    on_terminal: bool,
}

impl Signals {
    /// Starts listening for the signals. Every server calls this first, so it also raises the limit on open files.
    /// Errors: [`Error::Signals`].
    pub(super) fn listen(on_hangup: Hangup) -> Result<Self, Error> {
        open_files::raise_limit();
        let open = |kind| signal(kind).map_err(Error::Signals);
        Ok(Self {
            terminate: open(SignalKind::terminate())?,
            interrupt: open(SignalKind::interrupt())?,
            hangup: open(SignalKind::hangup())?,
            on_hangup,
            on_terminal: has_terminal(),
        })
    }

    /// Waits for the next signal to stop and returns its name. Cancel-safe.
    pub(super) async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                Some(()) = self.terminate.recv() => return "SIGTERM",
                Some(()) = self.interrupt.recv() => return "Ctrl-C",
                Some(()) = self.hangup.recv() => {
                    // The window was closed: nobody could stop this process any more.
                    if self.on_terminal && !has_terminal() {
                        return "SIGHUP of a closed terminal";
                    }
                    if self.on_hangup == Hangup::Ignored {
                        tracing::info!("SIGHUP ignored: there is nothing to reload, and SIGTERM stops this process");
                    }
                }
                // The runtime is shutting down.
                else => std::future::pending().await,
            }
        }
    }

    /// Runs `start`. Returns `None` if a signal to stop comes first, which drops it.
    pub(super) async fn unless_stopped<T>(&mut self, start: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            started = start => Some(started),
            signal = self.next() => {
                tracing::info!(signal, "stopped before the process was ready");
                None
            }
        }
    }
}

/// Returns true if this process has a terminal. One that was closed does not count.
fn has_terminal() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}
