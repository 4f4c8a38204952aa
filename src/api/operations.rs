//! `/health`, `/ready`, `/metrics`: for whoever runs the sidecar.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::IntoResponse;
use serde::Serialize;

use super::routes::Api;
use crate::http::{Kind, Problem};

/// The content type of `/metrics`.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is ready, and why the rest is not.
#[derive(Serialize)]
pub(super) struct Ready {
    ready: bool,
    role: String,
    /// `ok`, or what is wrong.
    bus: String,
    /// `ok`, or what is wrong.
    service: String,
    /// `ok`, or what is wrong.
    process: String,
}

/// `200` as long as the process can answer at all.
pub(super) async fn health() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], "{\"status\":\"ok\"}")
}

/// `200` when messages can be sent and handled: on the bus, registered, the service reachable, not shutting down.
/// Else `503`, saying which of these is not so.
pub(super) async fn ready(State(api): State<Api>) -> impl IntoResponse {
    let ok = || "ok".to_owned();
    let (bus, service) = (api.relay.bus_trouble(), api.relay.service_trouble());
    let leaving = api.relay.is_leaving();
    let ready = bus.is_none() && service.is_none() && !leaving;
    let body = Ready {
        ready,
        role: api.relay.role().to_string(),
        bus: bus.unwrap_or_else(ok),
        service: service.unwrap_or_else(ok),
        process: if leaving { "shutting down".into() } else { ok() },
    };
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
}

/// Counters and gauges in the text form of OpenMetrics.
pub(super) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    api.relay.refresh_metrics();
    ([(CONTENT_TYPE, OPENMETRICS)], (api.operations.metrics)())
}

/// The answer to a method that a path does not have.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(Kind::MethodNotAllowed, format!("{} does not take {method}", uri.path()))
}
