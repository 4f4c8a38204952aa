//! Cross-origin rules for browsers, and the security headers of every response. Fetch 3.2, 3.7.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, ORIGIN, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};

use super::rules::Origins;

/// Fetch 3.7.
static RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Settings of [`Cors`].
#[derive(Debug)]
pub(crate) struct CorsSettings<'a> {
    /// Origins whose pages may call; `*` allows all, `loopback` those of `localhost` and of loopback addresses.
    pub(crate) origins: &'a [String],
    /// True if those pages may send credentials. Has no effect if all origins are allowed.
    pub(crate) credentials: bool,
    /// Time for which a browser may remember the answer to a preflight.
    pub(crate) max_age: Duration,
    /// Methods that pages may use, separated by commas.
    pub(crate) methods: HeaderValue,
    /// Headers of the protocol, which pages may always send, separated by commas.
    pub(crate) request_headers: HeaderValue,
    /// Further headers that pages may send; `*` allows all that they ask for.
    pub(crate) further_headers: &'a [String],
    /// Headers that pages may read, separated by commas.
    pub(crate) response_headers: HeaderValue,
}

/// Cross-origin rules of one system.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Origins,
    credentials: bool,
    max_age_s: HeaderValue,
    methods: HeaderValue,
    request_headers: HeaderValue,
    /// True if pages may send all headers that they ask for.
    all_headers: bool,
    response_headers: HeaderValue,
}

impl Cors {
    /// Creates the rules.
    pub(crate) fn new(settings: CorsSettings<'_>) -> Arc<Self> {
        let CorsSettings { origins, credentials, max_age, methods, request_headers, .. } = settings;
        let all_headers = settings.further_headers.iter().any(|header| header == "*");
        let further = if all_headers { &[] } else { settings.further_headers };
        let origins = Origins::new(origins);
        Arc::new(Self {
            credentials: credentials && !origins.allows_all(),
            origins,
            max_age_s: HeaderValue::from(max_age.as_secs()),
            methods,
            request_headers: joined(request_headers, further),
            all_headers,
            response_headers: settings.response_headers,
        })
    }

    /// Applies the rules to every request of `router`.
    pub(crate) fn layer(self: &Arc<Self>, router: Router) -> Router {
        let cors = Arc::clone(self);
        router.layer(from_fn(move |request: Request, next: Next| {
            let cors = Arc::clone(&cors);
            async move { cors.apply(request, |request| next.run(request)).await }
        }))
    }

    /// Answers a preflight itself, and any other request with the response of `respond` and the headers added.
    pub(crate) async fn apply<F>(&self, request: Request, respond: impl FnOnce(Request) -> F) -> Response
    where
        F: Future<Output = Response>,
    {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let requester = Requester { reads, origin: request.headers().get(ORIGIN).cloned() };
        if request.method() == Method::OPTIONS {
            return self.preflight(&requester, request.headers());
        }
        let mut response = respond(request).await;
        self.add_headers(response.headers_mut(), &requester);
        response
    }

    /// Adds who may read, embed and store the response. A `Cache-Control` of its own stays.
    fn add_headers(&self, headers: &mut HeaderMap, requester: &Requester) {
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(&RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if self.origins.allows_all() {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            return self.expose(headers, requester);
        }
        headers.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) =
            requester.origin.as_ref().filter(|origin| self.origins.allows(origin.to_str().unwrap_or_default()))
        {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            if self.credentials {
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            self.expose(headers, requester);
        }
    }

    fn expose(&self, headers: &mut HeaderMap, requester: &Requester) {
        // A cached response has to work for pages, too, even if a caller without an origin asked for it first.
        if requester.reads || requester.origin.is_some() {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, self.response_headers.clone());
        }
    }

    /// The answer to a browser that asks before it sends a page's request: it names the headers that the page wants to send,
    /// since `*` would not stand for `authorization`, nor for any with credentials. Fetch 3.2.2, 4.8.
    fn preflight(&self, requester: &Requester, request: &HeaderMap) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        let asked = if self.all_headers { asked_headers(request) } else { Vec::new() };
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, joined(self.request_headers.clone(), &asked));
        headers.append(VARY, HeaderValue::from_static("access-control-request-headers"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age_s.clone());
        self.add_headers(headers, requester);
        response
    }
}

/// Returns true if a browser asks before it sends a page's request. Fetch 4.8.
pub(super) fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Returns the names of the headers that a page wants to send. What is no name of a header is left out.
fn asked_headers(request: &HeaderMap) -> Vec<String> {
    let lines = request.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter().filter_map(|value| value.to_str().ok());
    let names = lines.flat_map(|line| line.split(',')).filter_map(|name| name.trim().parse::<HeaderName>().ok());
    names.map(|name| name.to_string()).collect()
}

/// Adds names to a list that is separated by commas. Those that it has already, and those that no header can carry, are left
/// out.
fn joined(list: HeaderValue, further: &[String]) -> HeaderValue {
    let known = list.to_str().unwrap_or_default();
    let is_known = |name: &str| known.split(',').any(|known| known.trim().eq_ignore_ascii_case(name));
    let missing: Vec<&str> = further.iter().map(String::as_str).filter(|name| !is_known(name)).collect();
    match missing.is_empty() {
        true => list,
        false => HeaderValue::try_from(format!("{known}, {}", missing.join(", "))).unwrap_or(list),
    }
}

/// The parts of a request that the rules depend on.
struct Requester {
    /// True for GET and HEAD.
    reads: bool,
    origin: Option<HeaderValue>,
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower_service::Service;

    use super::*;

    async fn answer(origins: &[&str], credentials: bool, request: Request<Body>) -> Response {
        answer_with(origins, credentials, &["*"], request).await
    }

    async fn answer_with(origins: &[&str], credentials: bool, further: &[&str], request: Request<Body>) -> Response {
        let further: Vec<String> = further.iter().map(|header| (*header).to_owned()).collect();
        let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
        let cors = Cors::new(CorsSettings {
            origins: &origins,
            credentials,
            max_age: Duration::from_secs(600),
            methods: HeaderValue::from_static("GET, POST"),
            request_headers: HeaderValue::from_static("content-type, if-none-match"),
            further_headers: &further,
            response_headers: HeaderValue::from_static("etag, stream-next-offset"),
        });
        let router = Router::new().route("/", get(|| async { "read" }).post(|| async { "written" }));
        cors.layer(router).call(request).await.unwrap()
    }

    fn from(origin: &str, method: Method) -> Request<Body> {
        Request::builder().method(method).uri("/").header(ORIGIN, origin).body(Body::empty()).unwrap()
    }

    fn text(response: &Response, name: HeaderName) -> Option<&str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn all_origins_may_call_unless_some_are_named() {
        let response = answer(&["*"], true, from("https://a.example", Method::POST)).await;
        assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_ORIGIN), Some("*"));
        assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_CREDENTIALS), None);
        assert!(text(&response, ACCESS_CONTROL_EXPOSE_HEADERS).unwrap().contains("stream-next-offset"));
        assert_eq!(text(&response, VARY), None);
    }

    #[tokio::test]
    async fn only_named_origins_may_call() {
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
    async fn a_preflight_allows_the_headers_that_the_page_asks_for_unless_some_are_named() {
        let asking = |lines: &[&'static str]| {
            let mut request = from("https://a.example", Method::OPTIONS);
            for line in lines {
                request.headers_mut().append(ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static(line));
            }
            request
        };
        let asked = ["traceparent,x-api-key", "Idempotency-Key, content-type, no name, last-event-id"];
        let all = "content-type, if-none-match, traceparent, x-api-key, idempotency-key, last-event-id";
        for (further, expected) in [
            (&["*"][..], all),
            (&["x-api-key"], "content-type, if-none-match, x-api-key"),
            (&[], "content-type, if-none-match"),
        ] {
            let response = answer_with(&["*"], false, further, asking(&asked)).await;
            assert_eq!(text(&response, ACCESS_CONTROL_ALLOW_HEADERS), Some(expected));
            assert_eq!(text(&response, VARY), Some("access-control-request-headers"));
        }
    }

    #[tokio::test]
    async fn responses_that_caches_may_store_work_for_pages() {
        let plain = |method| Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
        let read = answer(&["*"], false, plain(Method::GET)).await;
        assert!(text(&read, ACCESS_CONTROL_EXPOSE_HEADERS).is_some());
        let written = answer(&["*"], false, plain(Method::POST)).await;
        assert_eq!(text(&written, ACCESS_CONTROL_EXPOSE_HEADERS), None);
        assert_eq!(text(&written, X_CONTENT_TYPE_OPTIONS), Some("nosniff"));
        assert_eq!(text(&written, CACHE_CONTROL), Some("no-store"));
    }
}
