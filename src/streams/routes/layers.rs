//! What every answer has: security headers, CORS, and, where it pays, compression.

use std::time::Duration;

use axum::Router;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, RETRY_AFTER, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::map_response;
use axum::response::Response;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, NotForContentType, Predicate, SizeAbove};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders};

use crate::streams::config::Config;
use crate::streams::wire::header;

/// Bodies below this size are not worth compressing.
const COMPRESSED_BYTES_MIN: u64 = 1024;

/// Puts them around a router.
pub(super) fn around(router: Router, config: &Config) -> Router {
    router.layer(cors(config)).layer(map_response(finish))
}

/// Tells who may embed and who may store an answer, if it does not tell itself.
async fn finish(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(policy, HeaderValue::from_static("cross-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Gzip for bodies that are large enough, except events, which must not wait for more.
pub(super) fn compression() -> CompressionLayer<And<SizeAbove, NotForContentType>> {
    let worth = SizeAbove::new(COMPRESSED_BYTES_MIN).and(NotForContentType::SSE);
    CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest).compress_when(worth)
}

/// Which pages may call, and what they may see.
fn cors(config: &Config) -> CorsLayer {
    let everybody = config.cors_origins.iter().any(|origin| origin == "*");
    let origins = || config.cors_origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok());
    let origin = if everybody { AllowOrigin::any() } else { AllowOrigin::list(origins()) };
    let methods = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS];
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods(methods)
        .allow_headers(AllowHeaders::list(allowed()))
        .expose_headers(ExposeHeaders::list(exposed()))
        .allow_credentials(config.cors_credentials && !everybody)
        .max_age(Duration::from_millis(config.cors_max_age_ms))
        .vary(if everybody { Vec::new() } else { vec![axum::http::header::ORIGIN] })
}

fn allowed() -> impl Iterator<Item = HeaderName> {
    let own = [
        header::SEQ,
        header::TTL,
        header::EXPIRES_AT,
        header::CLOSED,
        header::PRODUCER_ID,
        header::PRODUCER_EPOCH,
        header::PRODUCER_SEQ,
        header::FORKED_FROM,
        header::FORK_OFFSET,
        header::FORK_SUB_OFFSET,
    ];
    [CONTENT_TYPE, AUTHORIZATION, IF_NONE_MATCH].into_iter().chain(own.map(HeaderName::from_static))
}

fn exposed() -> impl Iterator<Item = HeaderName> {
    let own = [
        header::NEXT_OFFSET,
        header::CURSOR,
        header::UP_TO_DATE,
        header::CLOSED,
        header::PRODUCER_EPOCH,
        header::PRODUCER_SEQ,
        header::PRODUCER_EXPECTED_SEQ,
        header::PRODUCER_RECEIVED_SEQ,
        header::DATA_ENCODING,
        header::TTL,
        header::EXPIRES_AT,
    ];
    let usual = [ETAG, CONTENT_TYPE, CONTENT_ENCODING, VARY, LOCATION, RETRY_AFTER];
    usual.into_iter().chain(own.map(HeaderName::from_static))
}
