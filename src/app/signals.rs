//! The signals of a server process: SIGTERM and Ctrl-C drain it, and the second one stops it at once. SIGHUP ends nothing,
//! unless it says that the terminal is gone.

use std::future::Future;
use std::io::{self, IsTerminal};
use std::pin::pin;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Config, Error, open_files};

/// Time for a start to finish after a signal to stop, so that what it has begun can be ended in order: a registration, for one.
const STARTED_GRACE: Duration = Duration::from_secs(1);

/// The effect of a SIGHUP from a living terminal, or from no terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hangup {
    /// None: there is nothing to reload.
    Ignored,
    /// Another listener for the signal reloads what it can.
    Reloads,
}

impl Hangup {
    /// Returns the effect where only certificates can be reloaded.
    pub(super) fn of(config: &Config) -> Self {
        if config.tls.has_certificate() { Self::Reloads } else { Self::Ignored }
    }
}

/// The signals that a process listens for.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    on_hangup: Hangup,
    on_terminal: bool,
    /// A signal that came during the start, and is still to be acted on.
    received: Option<&'static str>,
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
            received: None,
        })
    }

    /// Waits for the next signal to stop and returns its name. Cancel-safe.
    pub(super) async fn next(&mut self) -> &'static str {
        if let Some(received) = self.received.take() {
            return received;
        }
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

    /// Runs `start`. After a signal to stop it has a second to finish, and [`Self::next`] returns the signal; returns `None` if
    /// it does not, which drops it. Dropping the future drops `start`.
    pub(super) async fn unless_stopped<T>(&mut self, start: impl Future<Output = T>) -> Option<T> {
        let mut start = pin!(start);
        let signal = tokio::select! {
            started = &mut start => return Some(started),
            signal = self.next() => signal,
        };
        tracing::info!(signal, "stopped before the process was ready");
        let started = tokio::time::timeout(STARTED_GRACE, start).await.ok()?;
        self.received = Some(signal);
        Some(started)
    }
}

/// Returns true if this process has a terminal. One that was closed does not count.
fn has_terminal() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}
