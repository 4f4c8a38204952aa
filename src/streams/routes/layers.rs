//! What every answer has: security headers and CORS; and, where it pays, compression.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, ORIGIN, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_layer::Layer;
use tower_service::Service;

use crate::streams::config::Config;

/// Bodies below this size are not worth compressing.
const COMPRESSED_BYTES_MIN: u64 = 1024;

/// Fetch 3.7.
static RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What pages may do.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE, HEAD, OPTIONS");

/// Which headers pages may send.
const ALLOWED: HeaderValue = HeaderValue::from_static(
    "content-type, authorization, if-none-match, stream-seq, stream-ttl, stream-expires-at, stream-closed, \
     producer-id, producer-epoch, producer-seq, stream-forked-from, stream-fork-offset, stream-fork-sub-offset",
);

/// Which headers pages may see.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "etag, content-type, content-encoding, vary, location, retry-after, stream-next-offset, stream-cursor, \
     stream-up-to-date, stream-closed, producer-epoch, producer-seq, producer-expected-seq, producer-received-seq, \
     stream-sse-data-encoding, stream-ttl, stream-expires-at",
);

/// Puts headers around a router's answers, and answers preflights.
pub(super) fn around(router: Router, policy: &Arc<Policy>) -> Router {
    let policy = Arc::clone(policy);
    router.layer(from_fn(move |request: Request, next: Next| {
        let policy = Arc::clone(&policy);
        async move { policy.around(request, |request| next.run(request)).await }
    }))
}

/// Makes a body smaller with gzip or zstd if the client takes that and it is large enough, except events, which must not
/// wait for more. `asked` is what came with the request.
pub(super) async fn compressed(response: Response, asked: &HeaderMap) -> Response {
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

/// Gives an answer that there is already.
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
        ready(Ok(self.0.take().expect("it is asked for once")))
    }
}

/// Which pages may call.
#[derive(Debug)]
pub(super) struct Policy {
    /// `None`: those of everybody.
    origins: Option<Vec<HeaderValue>>,
    credentials: bool,
    max_age_s: HeaderValue,
}

impl Policy {
    pub(super) fn of(config: &Config) -> Arc<Self> {
        let origins = config.cors_origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok());
        let everybody = config.cors_origins.iter().any(|origin| origin == "*");
        Arc::new(Self {
            origins: if everybody { None } else { Some(origins.collect()) },
            credentials: config.cors_credentials && !everybody,
            max_age_s: HeaderValue::from(config.cors_max_age_ms / 1000),
        })
    }

    /// Answers preflights, and anything else with what `answer` says, headers put around.
    pub(super) async fn around<F>(&self, request: Request, answer: impl FnOnce(Request) -> F) -> Response
    where
        F: Future<Output = Response>,
    {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let call = Call { reads, origin: request.headers().get(ORIGIN).cloned() };
        if request.method() == Method::OPTIONS {
            return self.preflight(&call);
        }
        let mut response = answer(request).await;
        self.finish(response.headers_mut(), &call);
        response
    }

    /// Tells who may see the answer, embed it, and store it, if it does not tell itself.
    fn finish(&self, headers: &mut HeaderMap, call: &Call) {
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(&RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        let Some(origins) = &self.origins else {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            return Self::expose(headers, call);
        };
        headers.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = call.origin.as_ref().filter(|origin| origins.contains(origin)) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            if self.credentials {
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            Self::expose(headers, call);
        }
    }

    fn expose(headers: &mut HeaderMap, call: &Call) {
        // What caches may keep has to serve pages, too, whoever asked for it first.
        if call.reads || call.origin.is_some() {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }

    /// What a browser asks before it sends what a page wants. Fetch 3.2.2.
    fn preflight(&self, call: &Call) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
        headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age_s.clone());
        self.finish(headers, call);
        response
    }
}

/// What the policy needs to know of a request.
struct Call {
    reads: bool,
    origin: Option<HeaderValue>,
}

#[cfg(test)]
mod tests {
    use axum::routing::get;

    use super::*;

    async fn answer(origins: &[&str], credentials: bool, request: Request<Body>) -> Response {
        let cors_origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        let config = Config { cors_origins, cors_credentials: credentials, ..Config::default() };
        let router = Router::new().route("/", get(|| async { "read" }).post(|| async { "written" }));
        around(router, &Policy::of(&config)).call(request).await.unwrap()
    }

    fn from(origin: &str, method: Method) -> Request<Body> {
        Request::builder().method(method).uri("/").header(ORIGIN, origin).body(Body::empty()).unwrap()
    }

    fn text(response: &Response, name: HeaderName) -> Option<&str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn everybody_may_call_unless_origins_are_named() {
        let response = answer(&["*"], true, from("https://a.example", Method::POST)).await;
        assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_ORIGIN), Some("*"));
        assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_CREDENTIALS), None);
        assert!(text(&response, ACCESS_CONTROL_EXPOSE_HEADERS).unwrap().contains("stream-next-offset"));
        assert_eq!(text(&response, VARY), None);
    }

    #[tokio::test]
    async fn an_origin_that_is_named_may_call_and_no_other() {
        let named = ["https://a.example", "https://b.example"];
        let response = answer(&named, true, from("https://b.example", Method::GET)).await;
        assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_ORIGIN), Some("https://b.example"));
        assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_CREDENTIALS), Some("true"));
        let response = answer(&named, true, from("https://c.example", Method::GET)).await;
        assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_ORIGIN), None);
        assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_CREDENTIALS), None);
        assert_eq!(text(&response, VARY), Some("origin"));
    }

    #[tokio::test]
    async fn a_preflight_is_answered_for_every_path() {
        let response = answer(&["*"], false, from("https://a.example", Method::OPTIONS)).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert!(text(&response, ACCESS_CONTROL_ALLOW_HEADERS).unwrap().contains("if-none-match"));
        assert_eq!(text(&response, ACCESS_CONTROL_MAX_AGE), Some("600"));
    }

    #[tokio::test]
    async fn what_caches_may_keep_serves_pages_whoever_asked_first() {
        let plain = |method| Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
        let read = answer(&["*"], false, plain(Method::GET)).await;
        assert!(text(&read, ACCESS_CONTROL_EXPOSE_HEADERS).is_some());
        let written = answer(&["*"], false, plain(Method::POST)).await;
        assert_eq!(text(&written, ACCESS_CONTROL_EXPOSE_HEADERS), None);
        assert_eq!(text(&written, X_CONTENT_TYPE_OPTIONS), Some("nosniff"));
        assert_eq!(text(&written, CACHE_CONTROL), Some("no-store"));
    }
}
