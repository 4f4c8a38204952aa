//! `/health`, `/ready` and `/metrics`, for operators.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::state::Api;

/// Body of `/ready`.
#[derive(Serialize)]
pub(super) struct Ready {
    ready: bool,
    role: String,
    /// `ok`, or the problem.
    bus: String,
    /// `ok`, or the problem.
    service: String,
    /// `ok`, or the problem.
    outbox: String,
    /// `ok`, or the problem.
    inbox: String,
    /// `ok`, or the problem.
    process: String,
}

/// Returns `200` as long as the process can answer.
pub(super) async fn health() -> impl IntoResponse {
    crate::http::health("api")
}

/// Returns `200` if messages can be sent and handled: the relay is on the bus, the service is reachable, no message has
/// waited for too long, and the process is not shutting down. Else `503` with the problem.
pub(super) async fn ready(State(api): State<Api>) -> impl IntoResponse {
    let ok = || "ok".to_owned();
    let (bus, service, outbox) = (api.relay.bus_error(), api.relay.service_error(), api.relay.outbox_error());
    let (inbox, closing) = (api.relay.inbox_error(), api.relay.is_closing());
    let ready = [&bus, &service, &outbox, &inbox].into_iter().all(Option::is_none) && !closing;
    let body = Ready {
        ready,
        role: api.relay.role().to_string(),
        bus: bus.unwrap_or_else(ok),
        service: service.unwrap_or_else(ok),
        outbox: outbox.unwrap_or_else(ok),
        inbox: inbox.unwrap_or_else(ok),
        process: if closing { "shutting down".into() } else { ok() },
    };
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
}

/// Returns the metrics in the text format that the client prefers.
pub(super) async fn metrics(State(api): State<Api>, headers: HeaderMap) -> Response {
    api.operations.metrics.respond(&headers)
}
