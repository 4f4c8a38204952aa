//! Metrics of the listeners of a process.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::metrics::{Histogram, Labelled};

/// Connections and requests by listener. Cheap to clone; clones share their values.
#[derive(Debug, Clone)]
pub(crate) struct ListenerMetrics {
    connections: Labelled<1, Gauge>,
    connections_max: Labelled<1, Gauge>,
    requests: Labelled<3, Histogram>,
}

impl ListenerMetrics {
    /// Creates the metrics and registers them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let listener = || Labelled::new(["listener"]);
        let (connections, connections_max) = (listener(), listener());
        let requests = Labelled::new(["listener", "method", "status"]);
        let help = "Connections that are open";
        registry.register("exorelay_http_connections", help, connections.clone());
        let help = "Maximum number of open connections; requests of further ones are refused";
        registry.register("exorelay_http_connections_max", help, connections_max.clone());
        let help = "Time from the head of a request to that of its answer, by class of the status";
        registry.register("exorelay_http_request_duration_seconds", help, requests.clone());
        Self { connections, connections_max, requests }
    }

    /// Returns the share of the listener of this name.
    pub(crate) fn of(&self, listener: &'static str) -> Counted {
        Counted { listener, metrics: self.clone() }
    }
}

/// The metrics of one listener.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    listener: &'static str,
    metrics: ListenerMetrics,
}

impl Counted {
    /// Shows the limit on connections.
    pub(super) fn limited(&self, connections_max: usize) {
        self.metrics.connections.get([self.listener]);
        let limit = self.metrics.connections_max.get([self.listener]);
        limit.set(i64::try_from(connections_max).unwrap_or(i64::MAX));
    }

    /// Counts a connection until the result is dropped.
    pub(super) fn connected(&self) -> OpenConnection {
        let open = self.metrics.connections.get([self.listener]).clone();
        open.inc();
        OpenConnection(open)
    }

    /// Counts an answer.
    pub(super) fn answered(&self, method: &Method, status: StatusCode, duration: Duration) {
        let method = match *method {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::HEAD => "HEAD",
            Method::DELETE => "DELETE",
            Method::OPTIONS => "OPTIONS",
            _ => "other",
        };
        let class = match status.as_u16() / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        self.metrics.requests.get([self.listener, method, class]).observe(duration);
    }
}

/// An open connection, which counts until it is dropped.
#[derive(Debug)]
pub(super) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
