//! Events of a relay: coming online, going offline, and errors that no caller is waiting for.

use tokio::sync::broadcast;

use super::Error;

/// Events that a slow subscriber may lag behind before it misses the oldest.
const EVENTS_MAX: usize = 256;

/// Something that happened to the relay.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The relay has joined the bus and its listener accepts deliveries.
    Online {
        /// Port of the bus-facing listener; that of the broker, if it delivers over the relay's own connection; else 0.
        port: u16,
    },
    /// The relay lost the bus, or left it. Messages wait in the outbox until it is online again.
    Offline,
    /// An error that no caller is waiting for: a failed handler, an undeliverable message, a failed attempt to join.
    Error(Error),
}

/// Sending end of the events. Cheap to clone.
#[derive(Clone)]
pub(super) struct EventSender(broadcast::Sender<Event>);

impl EventSender {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(EVENTS_MAX))
    }

    pub(super) fn send(&self, event: Event) {
        // Fails only if there are no subscribers, which is fine.
        drop(self.0.send(event));
    }

    pub(super) fn error(&self, error: Error) {
        self.send(Event::Error(error));
    }

    /// Subscribes to the events from now on, preceded by `first`.
    pub(super) fn subscribe(&self, first: Option<Event>) -> Events {
        Events { first, rest: self.0.subscribe() }
    }
}

/// Events of one relay since the subscription. The first is [`Event::Online`] if the relay was online already.
pub struct Events {
    first: Option<Event>,
    rest: broadcast::Receiver<Event>,
}

impl Events {
    /// Returns the next event, or `None` once the relay is dropped. A subscriber that lags 256 events behind misses the
    /// oldest. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            match self.rest.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
