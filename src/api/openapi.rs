//! `/openapi.json`: the contract of this listener, held to the running server by `spec/conformance/openapi`.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// The document, as it is served.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

/// Gives the document.
pub(super) async fn document() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT)
}
