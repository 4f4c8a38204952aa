//! Compression of responses.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_layer::Layer;
use tower_service::Service;

/// Smaller bodies are not worth compressing.
const COMPRESSED_BYTES_MIN: u64 = 1024;

/// Compresses a response with gzip or zstd if the request's headers, `asked`, accept that and the body is large enough.
/// Server-sent events are never compressed: they would wait for more of them.
///
/// Each coding has an entity tag of its own, and a request that has it in `If-None-Match` gets 304 (RFC 9110 8.8.3). If no
/// coding is accepted, not even none, the answer is 406 without content.
pub(crate) async fn compress(mut response: Response, asked: &HeaderMap) -> Response {
    if response.headers().contains_key(ETAG) && !varies(response.headers()) {
        response.headers_mut().append(VARY, HeaderValue::from(ACCEPT_ENCODING));
    }
    if response.body().size_hint().exact().is_some_and(|bytes| bytes < COMPRESSED_BYTES_MIN) {
        return response;
    }
    let worth = SizeAbove::new(COMPRESSED_BYTES_MIN).and(NotForContentType::SSE);
    let layer = CompressionLayer::new().gzip(true).zstd(true).quality(CompressionLevel::Fastest).compress_when(worth);
    let mut request = Request::new(());
    let accepted = asked.get_all(ACCEPT_ENCODING).iter().cloned();
    request.headers_mut().extend(accepted.map(|accepted| (ACCEPT_ENCODING, accepted)));
    let mut response = match layer.layer(Given(Some(response))).call(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    };
    if response.status() == StatusCode::NOT_ACCEPTABLE {
        return (StatusCode::NOT_ACCEPTABLE, [(VARY, HeaderValue::from(ACCEPT_ENCODING))]).into_response();
    }
    let Some(tag) = tag_of_coding(response.headers()) else { return response };
    if is_known(asked, &tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(CONTENT_ENCODING);
        response.headers_mut().remove(CONTENT_TYPE);
    }
    response.headers_mut().insert(ETAG, tag);
    response
}

/// Returns true if the response says that it depends on `Accept-Encoding`.
fn varies(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(VARY).iter().filter_map(|value| value.to_str().ok());
    let mut names = lines.flat_map(|line| line.split(',')).map(str::trim);
    names.any(|name| name == "*" || name.eq_ignore_ascii_case("accept-encoding"))
}

/// Returns the strong entity tag of a compressed response, made from that of its content.
fn tag_of_coding(headers: &HeaderMap) -> Option<HeaderValue> {
    let coding = headers.get(CONTENT_ENCODING)?.to_str().ok()?;
    let opaque = headers.get(ETAG)?.to_str().ok().filter(|tag| tag.starts_with('"'))?.strip_suffix('"')?;
    HeaderValue::try_from(format!("{opaque}-{coding}\"")).ok()
}

/// Returns true if the client has the content with this tag. RFC 9110 13.1.2: weak comparison.
fn is_known(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let lines = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|known| known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes())
}

/// A service with one response, which exists already.
#[derive(Debug)]
struct Given(Option<Response>);

impl Service<Request<()>> for Given {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(self.0.take().expect("the service is called once")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(asked: &[(axum::http::HeaderName, &'static str)]) -> (u16, HeaderMap, usize) {
        let headers = [(ETAG, "\"a-1\""), (CONTENT_TYPE, "text/plain")];
        let response = (headers, "x".repeat(10_000)).into_response();
        let asked = asked.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        let response = compress(response, &asked.collect()).await;
        let (parts, body) = response.into_parts();
        (parts.status.as_u16(), parts.headers, axum::body::to_bytes(body, 20_000).await.unwrap().len())
    }

    #[tokio::test]
    async fn each_coding_has_a_tag_of_its_own_which_is_recognised() {
        for (accepted, tag) in [("identity", "\"a-1\""), ("gzip", "\"a-1-gzip\""), ("gzip, zstd", "\"a-1-zstd\"")] {
            let (status, headers, bytes) = answer(&[(ACCEPT_ENCODING, accepted)]).await;
            assert_eq!((status, headers[ETAG].to_str().unwrap()), (200, tag), "{accepted}");
            assert_eq!((headers[VARY].to_str().unwrap(), bytes == 10_000), ("accept-encoding", accepted == "identity"));
        }
        let known = [(ACCEPT_ENCODING, "gzip"), (IF_NONE_MATCH, "\"b\""), (IF_NONE_MATCH, "\"c\", W/\"a-1-gzip\"")];
        // Two lines of one header.
        let mut asked = HeaderMap::new();
        for (name, value) in known {
            asked.append(name, HeaderValue::from_static(value));
        }
        let response = compress(([(ETAG, "\"a-1\"")], "x".repeat(10_000)).into_response(), &asked).await;
        assert_eq!(
            (response.status(), response.headers()[ETAG].to_str().unwrap()),
            (StatusCode::NOT_MODIFIED, "\"a-1-gzip\"")
        );
        assert!(!response.headers().contains_key(CONTENT_ENCODING));
        assert_eq!(axum::body::to_bytes(response.into_body(), 9).await.unwrap(), "");
        let (status, ..) = answer(&[(ACCEPT_ENCODING, "gzip"), (IF_NONE_MATCH, "\"a-1-zstd\"")]).await;
        assert_eq!(status, 200, "the content in another coding");
    }

    #[tokio::test]
    async fn nothing_that_is_acceptable_has_no_content() {
        for accepted in ["identity;q=0", "*;q=0", "br, identity;q=0"] {
            let (status, headers, bytes) = answer(&[(ACCEPT_ENCODING, accepted)]).await;
            assert_eq!((status, bytes, headers.contains_key(ETAG)), (406, 0, false), "{accepted}");
        }
    }

    #[tokio::test]
    async fn a_response_that_depends_on_more_depends_on_the_coding_too() {
        for status in [StatusCode::OK, StatusCode::NOT_MODIFIED] {
            let response = (status, [(ETAG, "\"a-1\""), (VARY, "authorization, origin")]).into_response();
            let response = compress(response, &HeaderMap::new()).await;
            let vary: Vec<_> = response.headers().get_all(VARY).iter().collect();
            assert_eq!(vary, ["authorization, origin", "accept-encoding"], "{status}");
        }
    }
}
