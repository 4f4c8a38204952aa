//! Closing a relay, also when its owner is cancelled.

use std::time::Duration;

use tokio::runtime;
use tokio::time::{Instant, timeout_at};

use super::Relay;
use crate::http::Serving;
use crate::sync::lock;
use crate::time::deadline_in;

/// Grace time of [`Relay::close`].
const GRACE: Duration = Duration::from_secs(10);

/// Grace time of a relay whose owner was cancelled before it could use it.
const GRACE_OF_CANCELLED: Duration = Duration::from_secs(2);

/// Part of the grace time that is kept for messages that are given back, and for the notices to requesters who get no reply;
/// at most a tenth of it.
const NOTICE_TIME: Duration = Duration::from_millis(500);

impl Relay {
    /// Closes within ten seconds: see [`Relay::close_within`]. Cancel-safe: a dropped call goes on in the background.
    pub async fn close(&self) {
        self.close_within(GRACE).await;
    }

    /// Accepts no more messages, lets running handlers and requests finish, sends what is in the outbox, leaves the bus,
    /// and closes the listeners: all within `grace`, at most a year. Handlers of requests that take longer are dropped, and
    /// the requesters get [`Error::Failed`](crate::Error::Failed). Messages that then still wait are given back to the bus for
    /// another instance; without one they become dead letters, which are logged. Returns the number of messages that were
    /// not handled, given back or sent by then. Closing twice does nothing.
    ///
    /// Cancel-safe: once polled, a dropped call goes on in the background.
    pub async fn close_within(&self, grace: Duration) -> usize {
        let (relay, deadline) = (self.clone(), deadline_in(grace));
        let closing = tokio::spawn(async move { relay.close_until(deadline).await });
        match closing.await {
            Ok(left) => left,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime shuts down, and every task of the relay with it.
            Err(_) => self.pending(),
        }
    }

    async fn close_until(&self, deadline: Instant) -> usize {
        let left = self.drain_until(deadline).await;
        if left > 0 {
            tracing::error!(messages = left, "closed with unfinished messages");
        }
        self.end(deadline).await;
        if left == 0 && timeout_at(deadline, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("tasks of the relay did not end within the grace time");
        }
        left
    }

    /// Does all of [`Relay::close_within`] except that the listeners stay: they refuse new messages, and answer questions about
    /// the process. Returns the number of unfinished messages, and does not log it. Not cancel-safe: what a dropped call had
    /// taken from its queue to give it back is lost.
    pub(crate) async fn drain_until(&self, deadline: Instant) -> usize {
        self.0.incoming.close();
        let idle = async {
            while self.pending() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Requesters learn that they get no reply within the same time, and the bus that this relay is gone.
        let grace = deadline.saturating_duration_since(Instant::now());
        let notice_time = (grace / 10).min(NOTICE_TIME);
        let in_time = timeout_at(deadline - notice_time, idle).await.is_ok();
        let kept = self.0.incoming.return_waiting(deadline - notice_time / 2).await;
        let abandoned = if in_time { kept } else { kept + self.0.incoming.abandon(deadline - notice_time / 2).await };
        self.0.outgoing.close();
        self.0.incoming.subscribers().end();
        // Before leaving, since the bus accepts nothing from a relay that has left.
        drop(timeout_at(deadline - notice_time / 4, self.0.outgoing.emptied()).await);
        let left = abandoned + self.unfinished();
        // While their callers can still be answered.
        self.0.outgoing.end_requests();
        self.0.presence.leave(&self.membership(), deadline).await;
        left
    }

    /// Closes the listeners of a relay that has drained. Cancel-safe: the listeners of a dropped call close all the same.
    pub(crate) async fn end(&self, deadline: Instant) {
        let listeners = std::mem::take(&mut *lock(&self.0.listeners));
        listeners.iter().for_each(Serving::stop);
        for listener in listeners {
            listener.drain(deadline.saturating_duration_since(Instant::now())).await;
        }
        self.0.tasks.close();
    }

    /// Number of accepted messages and requests that are not concluded.
    pub(crate) fn unfinished(&self) -> usize {
        self.pending() + self.0.incoming.subscribers().without_reader()
    }
}

/// A relay that its caller does not have yet. Dropping it closes the relay in the background, so that no role stays behind
/// on the bus whose owner is gone.
#[must_use = "dropping it closes the relay"]
pub(crate) struct CloseOnDrop {
    relay: Option<Relay>,
    runtime: runtime::Handle,
}

impl CloseOnDrop {
    /// Guards `relay`. Panics outside of a tokio runtime.
    pub(crate) fn new(relay: Relay) -> Self {
        Self { relay: Some(relay), runtime: runtime::Handle::current() }
    }

    /// Returns the relay.
    pub(crate) fn relay(&self) -> &Relay {
        self.relay.as_ref().expect("only `keep` takes it, together with the guard")
    }

    /// Ends the guard: the relay is its caller's now.
    pub(crate) fn keep(mut self) -> Relay {
        self.relay.take().expect("only `keep` takes it, together with the guard")
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let Some(relay) = self.relay.take() else { return };
        // At once: no handler may start for a caller that is gone.
        relay.0.incoming.close();
        self.runtime.spawn(async move { relay.close_within(GRACE_OF_CANCELLED).await });
    }
}
