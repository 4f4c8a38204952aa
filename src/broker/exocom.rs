//! HTTP API of the original of the WebSocket era: its socket, `/config.json`, and an error for everything else. exo
//! 3.7.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use super::opening::{Refusal, open};
use super::routes::configuration;
use super::service::Broker;

/// Builds the router.
pub fn router(broker: Broker) -> Router {
    Router::new()
        .route("/config.json", any(config))
        .route("/services", any(services))
        .fallback(refuse)
        .with_state(broker)
}

async fn config(State(broker): State<Broker>) -> Response {
    configuration(&broker)
}

async fn services(State(broker): State<Broker>, request: Request) -> Response {
    match open(&broker, request).await {
        Ok(response) => response,
        Err(Refusal::Origin { .. }) => text(StatusCode::FORBIDDEN),
        Err(Refusal::Handshake { .. }) => text(StatusCode::BAD_REQUEST),
        Err(Refusal::Draining) => text(StatusCode::SERVICE_UNAVAILABLE),
    }
}

async fn refuse() -> Response {
    text(StatusCode::BAD_REQUEST)
}

/// Answers with the name of the status, as Go's server does.
fn text(status: StatusCode) -> Response {
    let reason = status.canonical_reason().unwrap_or_default();
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{reason}\n")).into_response()
}
