//! Cross-origin rules of streams.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;

use crate::http::access::{Cors, CorsSettings};
use crate::streams::config::Config;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE, HEAD, OPTIONS");

/// Headers that pages may always send.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "content-type, authorization, if-none-match, stream-seq, stream-ttl, stream-expires-at, stream-closed, \
     producer-id, producer-epoch, producer-seq, stream-forked-from, stream-fork-offset, stream-fork-sub-offset",
);

/// Headers that pages may read.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "etag, content-type, content-encoding, vary, location, retry-after, stream-next-offset, stream-cursor, \
     stream-up-to-date, stream-closed, producer-epoch, producer-seq, producer-expected-seq, producer-received-seq, \
     stream-sse-data-encoding, stream-ttl, stream-expires-at",
);

/// Creates the rules from the settings.
pub(super) fn cors(config: &Config) -> Arc<Cors> {
    Cors::new(CorsSettings {
        origins: &config.cors_origins,
        credentials: config.cors_credentials,
        max_age: Duration::from_millis(config.cors_max_age_ms),
        methods: METHODS,
        request_headers: REQUEST_HEADERS,
        further_headers: &config.cors_headers,
        response_headers: RESPONSE_HEADERS,
    })
}
