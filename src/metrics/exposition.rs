//! The answer to `GET /metrics`.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use prometheus_client::registry::Registry;

use super::format::Format;

/// The metrics of one listener.
pub(crate) struct Exposition {
    registry: Registry,
    refresh: Box<dyn Fn() + Send + Sync>,
}

impl Exposition {
    /// Creates the exposition of `registry`. `refresh` is called before each answer, to set what is only computed then.
    pub(crate) fn new(registry: Registry, refresh: impl Fn() + Send + Sync + 'static) -> Self {
        Self { registry, refresh: Box::new(refresh) }
    }

    /// Answers a request with these headers in the format that it prefers.
    pub(crate) fn respond(&self, headers: &HeaderMap) -> Response {
        (self.refresh)();
        let accept: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let format = Format::preferred(&accept.join(","));
        let headers = [(CONTENT_TYPE, format.content_type()), (VARY, ACCEPT.as_str()), (CACHE_CONTROL, "no-store")];
        (headers, format.write(&self.registry)).into_response()
    }
}

impl fmt::Debug for Exposition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Exposition").finish_non_exhaustive()
    }
}
