//! The interface of a system that serves clients outside the bus, such as Durable Streams.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use prometheus_client::registry::Registry;

use crate::http::{Answers, Introduction, Limits, Problem};

/// A protocol for browsers, agents and other clients outside the bus. The edge serves a list of systems on one
/// listener; each system can also be served alone.
///
/// Called in this order: `register_metrics`, `introduction` and `routes` once at the start; then `readiness` and `refresh_metrics` at any
/// time; at the end `drain`, and `close` after the listener has drained.
pub trait System: Send + Sync + 'static {
    /// The name in ready lines, problem answers and the log, unique among the systems of a process.
    fn name(&self) -> &'static str;

    /// Returns the paths that belong to this system and the handler of their requests.
    fn routes(&self, limits: &Limits) -> Routes;

    /// Returns the part about this system on the page of its listener.
    fn introduction(&self) -> Introduction;

    /// Returns the system's part of `GET /openapi.json`: an OpenAPI document with its paths and schemas.
    fn openapi(&self) -> &'static str {
        "{}"
    }

    /// Returns the problem that `GET /ready` reports while the system cannot do its work. Must not block.
    fn readiness(&self) -> Result<(), Problem>;

    /// Registers the system's metrics, each with the prefix `exorelay_<name>`.
    fn register_metrics(&self, registry: &mut Registry);

    /// Updates the gauges that are only computed when `GET /metrics` asks for them. Must not block.
    fn refresh_metrics(&self) {}

    /// Refuses new work and ends waits and event streams where their clients can resume. Returns at once; requests in
    /// progress go on. Calling it twice does nothing.
    fn drain(&self);

    /// Stops background tasks and closes the store. Called once, when no request is in progress or the time to finish
    /// them is over; the caller passes its last reference.
    fn close(self: Arc<Self>) -> BoxFuture<'static, ()>;
}

/// The share of a listener that belongs to one system.
pub struct Routes {
    /// Each path covers itself and everything below it: `/v1/stream` covers `/v1/stream/orders`, and not `/v1/streams`.
    /// Paths of several systems may not overlap.
    pub paths: Vec<String>,
    /// Answers every request under `paths`, unknown ones with a 404 of its own.
    pub answers: Arc<dyn Answers>,
}
