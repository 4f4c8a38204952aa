//! What operators look at.

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::http::Problem;
use crate::streams::error::Error;
use crate::streams::service::Streams;

pub(super) fn router(streams: Streams) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(streams)
}

async fn health() -> Response {
    typed("application/json", "{\"status\":\"ok\"}".to_owned())
}

/// Red while it shuts down, and for good once the store has failed.
async fn ready(State(streams): State<Streams>) -> Result<Response, Problem> {
    if let Some(cause) = streams.failure() {
        return Err(Error::StoreFailed { cause }.into());
    }
    match streams.is_draining() {
        true => Err(Error::Draining.into()),
        false => Ok(typed("application/json", "{\"status\":\"ready\"}".to_owned())),
    }
}

async fn metrics(State(streams): State<Streams>) -> Response {
    typed("application/openmetrics-text; version=1.0.0; charset=utf-8", streams.metrics_text())
}

fn typed(content_type: &'static str, text: String) -> Response {
    ([(CONTENT_TYPE, content_type)], text).into_response()
}
