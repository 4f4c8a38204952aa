//! A live view of the traffic of a broker.

use std::sync::Arc;

use super::engine::Engine;
use super::follower::{Event, EventId, Follower, Payloads};
use super::rules::Filter;
use super::traffic::Refusal;

/// The events of one follower. Dropping it ends them.
pub(crate) struct Following {
    follower: Arc<Follower>,
    began: EventId,
    engine: Arc<Engine>,
}

impl Following {
    /// Follows the traffic of a broker from now on, or from the event `last` on.
    pub(super) fn start(
        engine: &Arc<Engine>,
        filter: Filter,
        payloads: Payloads,
        last: Option<EventId>,
    ) -> Result<Self, Refusal> {
        let (follower, began) = engine.traffic().add_follower(filter, payloads, last)?;
        engine.exchange().follow();
        Ok(Self { follower, began, engine: Arc::clone(engine) })
    }

    /// The id after which its events begin.
    pub(super) fn began(&self) -> EventId {
        self.began
    }

    /// Returns the next event and its id; `None` once the broker has shut down. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<(EventId, Event)> {
        let (number, event) = self.follower.next().await?;
        Some((self.engine.traffic().id_of(number), event))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.engine.traffic().remove_follower(&self.follower);
        self.engine.exchange().unfollow();
    }
}
