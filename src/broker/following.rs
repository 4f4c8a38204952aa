//! A live view of the traffic of a broker.

use std::sync::Arc;

use super::engine::Engine;
use super::follower::{Event, Follower, Payloads};
use super::rules::Filter;
use super::traffic::Refusal;

/// The events of one follower. Dropping it ends them.
pub(crate) struct Following {
    follower: Arc<Follower>,
    engine: Arc<Engine>,
}

impl Following {
    /// Follows the traffic of a broker from now on.
    pub(super) fn start(engine: &Arc<Engine>, filter: Filter, payloads: Payloads) -> Result<Self, Refusal> {
        let follower = engine.traffic().add_follower(filter, payloads)?;
        engine.exchange().follow();
        Ok(Self { follower, engine: Arc::clone(engine) })
    }

    /// Returns the next event; `None` once the broker has shut down. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Event> {
        self.follower.next().await
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.engine.traffic().remove_follower(&self.follower);
        self.engine.exchange().unfollow();
    }
}
