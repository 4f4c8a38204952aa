//! When to stop: SIGTERM and Ctrl-C ask politely; the second time means at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Error, files};

/// The signals that end a process.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on: what every server does before anything else, so the process is made fit for connections
    /// here as well. Errors: [`Error::Signals`].
    pub(super) fn listen() -> Result<Self, Error> {
        files::raise_limit();
        let open = |kind| signal(kind).map_err(Error::Signals);
        Ok(Self { terminate: open(SignalKind::terminate())?, interrupt: open(SignalKind::interrupt())? })
    }

    /// Waits for the next one and gives its name. Cancel-safe.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "Ctrl-C",
        }
    }

    /// Waits for a signal, then drains; a second signal cuts the drain short. `drain` answers how many messages were
    /// left over.
    pub(super) async fn then_drain<F: Future<Output = usize>>(&mut self, drain: F) {
        let signal = self.next().await;
        tracing::info!(signal, "draining: finishing what has begun, taking nothing new (again to stop at once)");
        tokio::select! {
            left = drain => match left {
                0 => tracing::info!("drained, nothing is left over"),
                left => tracing::error!(messages = left, "stopped with messages left over"),
            },
            signal = self.next() => tracing::warn!(signal, "stopped before everything was finished"),
        }
    }
}
