//! Tells whoever listens in this process which streams begin, close and end.

use tokio::sync::broadcast;

use super::rules::LifecycleEvent;

/// A listener was too slow, and has missed the oldest of what it had not taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{events} beginnings and ends of streams were missed; the registry has them all")]
pub struct Missed {
    /// How many.
    pub events: u64,
}

/// The sending end.
pub(super) struct Announcer(broadcast::Sender<LifecycleEvent>);

impl Announcer {
    pub(super) fn new(events_max: usize) -> Self {
        Self(broadcast::Sender::new(events_max.max(1)))
    }

    pub(super) fn announce(&self, event: &LifecycleEvent) {
        // An error means that nobody listens, which is everybody's right.
        drop(self.0.send(event.clone()));
    }

    pub(super) fn has_listeners(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(super) fn listen(&self) -> LifecycleEvents {
        LifecycleEvents(self.0.subscribe())
    }
}

/// What begins, closes and ends from now on; see [`super::Streams::lifecycle`].
pub struct LifecycleEvents(broadcast::Receiver<LifecycleEvent>);

impl LifecycleEvents {
    /// The next event; `None` once the last handle of the streams is gone. Cancel-safe: a dropped call takes nothing.
    ///
    /// Errors: [`Missed`], once, when more than `lifecycle_events_max` were waiting; the call after that gives the
    /// oldest that is left.
    pub async fn next(&mut self) -> Option<Result<LifecycleEvent, Missed>> {
        match self.0.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(broadcast::error::RecvError::Lagged(events)) => Some(Err(Missed { events })),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
