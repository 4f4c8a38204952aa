//! The answer to `GET /health`, the same on every listener.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// Header that names the listener as its ready line does, so that a tool can say which server answers in place of the one
/// that it called.
pub(crate) const SYSTEM_HEADER: &str = "exo-system";

/// Returns `200 {"status":"ok"}` of the listener `system`: its process can answer.
pub(crate) fn health(system: &'static str) -> Response {
    ([(CONTENT_TYPE.as_str(), "application/json"), (SYSTEM_HEADER, system)], "{\"status\":\"ok\"}").into_response()
}
