//! Serves systems to clients outside the bus: all of them on the edge listener, or one alone on a listener of its own.

mod dispatch;
mod operations;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::Router;
use tokio::time::Instant;

use super::access::Guards;
use super::config::LogFormat;
use super::system::System;
use super::{Error, ready};
use crate::http::access::RefusalMetrics;
use crate::http::{Access, Limits, ListenAddress, ListenerMetrics, Listening, ServerTls, Serving, Workers};
use crate::metrics::process_registry;
use dispatch::Dispatch;

/// The name and address of a listener for systems.
pub(super) struct Listener<'a> {
    /// The name in the ready line.
    pub(super) name: &'static str,
    /// The flag that sets the address, for error messages.
    pub(super) flag: &'static str,
    /// `HOST:PORT`.
    pub(super) address: &'a str,
    /// The format of the ready line.
    pub(super) format: LogFormat,
    pub(super) access: Arc<Access>,
    /// Access control by callers.
    pub(super) guards: &'a Guards,
    /// The certificate, if it serves over TLS.
    pub(super) tls: Option<&'a ServerTls>,
}

/// A list of systems on one listener, with one `/health`, `/ready` and `/metrics`.
pub(super) struct Edge {
    systems: Vec<Arc<dyn System>>,
    serving: Serving,
    operations: Router,
}

impl Edge {
    /// Binds the listener, then opens the systems for its address, serves them on `threads` dedicated threads and announces the listener.
    ///
    /// The port comes first so that a second process fails before it touches a store.
    /// Errors: [`Error::Threads`], [`Error::Listen`], [`Error::Unguarded`], [`Error::SystemPath`], and those of `systems`.
    pub(super) async fn open(
        listener: Listener<'_>,
        systems: impl AsyncFnOnce(ListenAddress) -> Result<Vec<Arc<dyn System>>, Error>,
        threads: NonZeroUsize,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let workers = Workers::start(threads).map_err(Error::Threads)?;
        let listening = Listening::bind(listener.flag, listener.address).await?.secured(listener.tls);
        let mut registry = process_registry();
        let listening = listening.counted(&ListenerMetrics::register(&mut registry), listener.name);
        let refusals = RefusalMetrics::register(&mut registry);
        let listening = listener.guards.guard(listening, listener.name, refusals)?;
        let systems = systems(listening.place().clone()).await?;
        let dispatch = Dispatch::new(&systems, registry, limits)?;
        let operations = dispatch.operations();
        let serving = listening.guarded(listener.access).serve_with(workers, dispatch, limits);
        ready::announce(listener.format, listener.name, serving.place());
        Ok(Self { systems, serving, operations })
    }

    pub(super) fn place(&self) -> &ListenAddress {
        self.serving.place()
    }

    /// Returns the routes for operators, such as `/ready`. They hold the systems: drop them before the edge is closed.
    pub(super) fn operations(&self) -> Router {
        self.operations.clone()
    }

    /// Drains every system, and accepts no more connections. Returns at once; requests in progress go on.
    pub(super) fn drain(&self) {
        self.systems.iter().for_each(|system| system.drain());
        self.serving.stop();
    }

    /// Drains, lets requests in progress finish until `deadline`, then closes the systems in order. Not cancel-safe: a dropped
    /// call leaves systems open.
    pub(super) async fn close_until(self, deadline: Instant) {
        self.drain();
        self.serving.drain(deadline.saturating_duration_since(Instant::now())).await;
        drop(self.operations);
        for system in self.systems {
            system.close().await;
        }
    }
}
