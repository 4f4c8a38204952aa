//! What a relay tells about itself.

use tokio::sync::broadcast;

use super::Error;

/// Events that a slow listener may be behind before it misses some.
const EVENTS_MAX: usize = 256;

/// Something happened to the relay.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The relay is on the bus and its listener answers.
    Online {
        /// The port of the bus-facing listener; of the broker, if it delivers over the relay's own connection; else 0.
        port: u16,
    },
    /// The relay lost the bus, or was closed. Sends wait in the outbox until it is online again.
    Offline,
    /// Something failed that nobody was waiting for: a handler, an undeliverable message, a try to reach the bus.
    Error(Error),
}

/// The sending end.
#[derive(Clone)]
pub(crate) struct Announcer(broadcast::Sender<Event>);

impl Announcer {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(EVENTS_MAX))
    }

    pub(crate) fn announce(&self, event: Event) {
        // An error means that nobody listens, which is everybody's right.
        drop(self.0.send(event));
    }

    /// The events from now on, after `first`.
    pub(crate) fn listen(&self, first: Option<Event>) -> Events {
        Events { first, rest: self.0.subscribe() }
    }
}

/// The events of one relay from now on; the first is [`Event::Online`] if it is online already.
pub struct Events {
    first: Option<Event>,
    rest: broadcast::Receiver<Event>,
}

impl Events {
    /// The next event; `None` once the relay is gone. A listener that falls 256 events behind misses the oldest.
    /// Cancel-safe.
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
