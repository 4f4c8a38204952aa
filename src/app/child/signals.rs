//! The signals that are passed on to a service.

use std::io;

use futures_util::FutureExt;
use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

/// Signals that the service gets as they come, and the one that asks this process to stop.
pub(super) struct PassedSignals {
    hangup: unix::Signal,
    user1: unix::Signal,
    user2: unix::Signal,
    interrupt: unix::Signal,
}

impl PassedSignals {
    /// Starts listening. Errors: the system refuses it.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for a signal that has a meaning for the service alone. Cancel-safe.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::HUP,
            _ = self.user1.recv() => Signal::USR1,
            _ = self.user2.recv() => Signal::USR2,
        }
    }

    /// Returns the signal by which the service is asked to stop: the one that this process got.
    pub(super) fn stop(&mut self) -> Signal {
        match self.interrupt.recv().now_or_never() {
            Some(_) => Signal::INT,
            None => Signal::TERM,
        }
    }
}
