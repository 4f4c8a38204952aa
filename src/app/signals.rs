//! SIGTERM and Ctrl-C: the first one drains the process, the second one stops it at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Error, open_files};

/// The signals that end a process.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Starts listening for the signals. Every server calls this first, so it also raises the limit on open files.
    /// Errors: [`Error::Signals`].
    pub(super) fn listen() -> Result<Self, Error> {
        open_files::raise_limit();
        let open = |kind| signal(kind).map_err(Error::Signals);
        Ok(Self { terminate: open(SignalKind::terminate())?, interrupt: open(SignalKind::interrupt())? })
    }

    /// Waits for the next signal and returns its name. Cancel-safe.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "Ctrl-C",
        }
    }

    /// Waits for a signal, then runs `drain`, which returns the number of unfinished messages. A second signal cancels it.
    pub(super) async fn then_drain<F: Future<Output = usize>>(&mut self, drain: F) {
        self.drain_after(std::future::pending::<()>(), drain).await;
    }

    /// As [`Signals::then_drain`], but drains also once `end` is over. Returns its output then.
    pub(super) async fn drain_after<T, F>(&mut self, end: impl Future<Output = T>, drain: F) -> Option<T>
    where
        F: Future<Output = usize>,
    {
        let (signal, output) = tokio::select! {
            signal = self.next() => (signal, None),
            output = end => ("none, the service has ended", Some(output)),
        };
        tracing::info!(
            signal,
            "draining: finishing work in progress, accepting nothing new (repeat the signal to stop at once)"
        );
        tokio::select! {
            unfinished = drain => match unfinished {
                0 => tracing::info!("drained, no unfinished messages"),
                messages => tracing::error!(messages, "stopped with unfinished messages"),
            },
            signal = self.next() => tracing::warn!(signal, "stopped before the drain was complete"),
        }
        output
    }
}
