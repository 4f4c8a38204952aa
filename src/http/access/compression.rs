//! Compression of responses.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT_ENCODING;
use axum::response::Response;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_layer::Layer;
use tower_service::Service;

/// Smaller bodies are not worth compressing.
const COMPRESSED_BYTES_MIN: u64 = 1024;

/// Compresses a response with gzip or zstd if the request's headers, `asked`, accept that and the body is large enough.
/// Server-sent events are never compressed: they would wait for more of them.
pub(crate) async fn compress(response: Response, asked: &HeaderMap) -> Response {
    if response.body().size_hint().exact().is_some_and(|bytes| bytes < COMPRESSED_BYTES_MIN) {
        return response;
    }
    let worth = SizeAbove::new(COMPRESSED_BYTES_MIN).and(NotForContentType::SSE);
    let layer = CompressionLayer::new().gzip(true).zstd(true).quality(CompressionLevel::Fastest).compress_when(worth);
    let mut request = Request::new(());
    let accepted = asked.get_all(ACCEPT_ENCODING).iter().cloned();
    request.headers_mut().extend(accepted.map(|accepted| (ACCEPT_ENCODING, accepted)));
    match layer.layer(Given(Some(response))).call(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
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
