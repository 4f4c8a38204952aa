//! Announces to listeners in this process which streams begin, close and end.

use tokio::sync::broadcast;

use super::rules::LifecycleEvent;

/// A listener was too slow and missed the oldest events that it had not taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{events} lifecycle events were missed; the registry lists what exists")]
pub struct Missed {
    /// The number of missed events.
    pub events: u64,
}

/// The sending end of all listeners.
pub(super) struct Announcer(broadcast::Sender<LifecycleEvent>);

impl Announcer {
    pub(super) fn new(events_max: usize) -> Self {
        Self(broadcast::Sender::new(events_max.max(1)))
    }

    pub(super) fn announce(&self, event: &LifecycleEvent) {
        // An error means that there is no listener.
        self.0.send(event.clone()).ok();
    }

    pub(super) fn has_listeners(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(super) fn listen(&self) -> LifecycleEvents {
        LifecycleEvents(self.0.subscribe())
    }
}

/// Lifecycle events from now on; see [`super::Streams::lifecycle`].
pub struct LifecycleEvents(broadcast::Receiver<LifecycleEvent>);

impl LifecycleEvents {
    /// Returns the next event; `None` once the last handle of the streams is dropped. Cancel-safe: a dropped call takes
    /// nothing.
    ///
    /// Errors: [`Missed`], once, if more than `lifecycle_events_max` events were waiting; the call after that returns the
    /// oldest one that is left.
    pub async fn next(&mut self) -> Option<Result<LifecycleEvent, Missed>> {
        match self.0.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(broadcast::error::RecvError::Lagged(events)) => Some(Err(Missed { events })),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
