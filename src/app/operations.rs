//! A listener of its own for probes, metrics and the call to drain: `ops.address`. The other listeners answer probes, too, but
//! may be on an address that probes do not reach.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tower_service::Service;

use super::access::Guards;
use super::drain_request::DrainRequest;
use super::{Config, Error, ready};
use crate::http::access::{RefusalMetrics, Verb, is_forwarded, needing};
use crate::http::{
    Access, Introduction, Kind, Landing, Listening, Peer, Problem, ServerTls, Serving, health, method_not_allowed,
    momentary, typed,
};

/// Maximum length of the answer of a part. Parts are in this process, and have bounded answers.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The end of metrics in the OpenMetrics format.
const END: &str = "# EOF\n";

/// The beginning of each family of metrics.
const FAMILY: &str = "# HELP ";

/// A part of the process with `/ready` and `/metrics` of its own.
#[derive(Clone)]
pub(super) struct Part {
    /// The name in the answer to `/ready`.
    pub(super) name: &'static str,
    pub(super) routes: Router,
}

/// The parts of the process, and the way to drain it.
struct Operations {
    parts: Vec<Part>,
    requests: DrainRequest,
}

/// Opens the listener at the configured address, unless that is empty. Errors: [`Error::Listen`].
pub(super) async fn open(
    (config, guards, tls): (&Config, &Guards, Option<&ServerTls>),
    parts: Vec<Part>,
    requests: DrainRequest,
) -> Result<Option<Serving>, Error> {
    let ops = &config.ops;
    if ops.address.is_empty() {
        return Ok(None);
    }
    let listening = Listening::bind("--ops HOST:PORT", &ops.address).await?.secured(tls);
    config.own_listeners().add(listening.address());
    let listening = listening.guarded(Access::of("ops.cors_origins", &ops.cors_origins, &config.http));
    let listening = guards.guard(listening, "ops", RefusalMetrics::unregistered())?;
    let serving = listening.serve(router(parts, requests), &config.http);
    ready::announce(config.log.format, "ops", serving.place());
    Ok(Some(serving))
}

fn router(parts: Vec<Part>, requests: DrainRequest) -> Router {
    let router = Router::new()
        .route("/health", get(async || health("ops")))
        .route("/ready", get(readiness))
        .merge(needing(Verb::Metrics, Router::new().route("/metrics", get(metrics))))
        .merge(needing(Verb::Drain, Router::new().route("/drain", post(drain))));
    let about = "Probes and metrics of the whole process, and POST /drain for callers on the same machine.".to_owned();
    let links = vec![("/ready", "whether it can work"), ("/metrics", "counters")];
    Landing::new("ExoRelay, for operators", vec![Introduction { about, links, ..Introduction::default() }])
        .fallback(router)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(map_response(momentary))
        .with_state(Arc::new(Operations { parts, requests }))
}

/// The answer of the only part; of several `200` if all of them are ready, else `503`, with the answer of each.
async fn readiness(State(operations): State<Arc<Operations>>) -> Result<Response, Problem> {
    if let [part] = &operations.parts[..] {
        return Ok(part.ask("/ready", &HeaderMap::new()).await);
    }
    let (mut is_ready, mut states) = (true, Map::new());
    for part in &operations.parts {
        let answer = part.ask("/ready", &HeaderMap::new()).await;
        is_ready &= answer.status().is_success();
        let body = content(answer).await?;
        states.insert(part.name.to_owned(), serde_json::from_slice(&body).unwrap_or(Value::Null));
    }
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "ready": is_ready, "parts": states }).to_string();
    Ok((status, typed("application/json", body)).into_response())
}

/// The metrics of all parts. A family that several of them have, such as that of the process, is taken from the first.
async fn metrics(State(operations): State<Arc<Operations>>, headers: HeaderMap) -> Result<Response, Problem> {
    let (mut content_type, mut texts) = (None, Vec::new());
    for part in &operations.parts {
        let answer = part.ask("/metrics", &headers).await;
        content_type = content_type.or_else(|| answer.headers().get(CONTENT_TYPE).cloned());
        texts.push(String::from_utf8_lossy(&content(answer).await?).into_owned());
    }
    let content_type = content_type.unwrap_or(HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(([(CONTENT_TYPE, content_type)], join(&texts)).into_response())
}

/// Drains the process as SIGTERM does, and answers when it has: `200` with the number of messages that are left. The process
/// then waits for SIGTERM. For callers on the same machine: this listener may be open to others.
async fn drain(
    State(operations): State<Arc<Operations>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !peer.ip().to_canonical().is_loopback() {
        return Err(Problem::new(Kind::Forbidden, "only a caller on the same machine may drain this process"));
    }
    if headers.contains_key(ORIGIN) {
        return Err(Problem::new(Kind::Forbidden, "web pages may not drain this process"));
    }
    if is_forwarded(&headers) {
        let detail = "a proxy forwarded the call; only a direct call from the same machine may drain this process";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    if !headers.get(HOST).is_some_and(is_loopback) {
        let detail = "the call is for another host; call this process as localhost or 127.0.0.1 to drain it";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let unfinished = operations.requests.drain().await;
    Ok(typed("application/json", json!({ "unfinished": unfinished }).to_string()))
}

/// Returns true if a `Host` is a name or an address of this machine that no name server decides about.
fn is_loopback(host: &HeaderValue) -> bool {
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    let host = authority.host();
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

impl Part {
    async fn ask(&self, path: &'static str, headers: &HeaderMap) -> Response {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_static(path);
        if let Some(accept) = headers.get(ACCEPT) {
            request.headers_mut().insert(ACCEPT, accept.clone());
        }
        let answered: Result<Response, Infallible> = self.routes.clone().call(request).await;
        match answered {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

async fn content(answer: Response) -> Result<Bytes, Problem> {
    to_bytes(answer.into_body(), ANSWER_BYTES_MAX)
        .await
        .map_err(|error| Problem::new(Kind::Busy, format!("an answer of this process cannot be read: {error}")))
}

/// Joins metrics, with one end and without repeated families.
fn join(texts: &[String]) -> String {
    let (mut joined, mut known) = (String::new(), HashSet::new());
    for text in texts {
        let mut is_new = true;
        for line in text.split_inclusive('\n').filter(|line| *line != END) {
            if let Some(family) = line.strip_prefix(FAMILY) {
                is_new = known.insert(family.split(' ').next().unwrap_or_default().to_owned());
            }
            if is_new {
                joined.push_str(line);
            }
        }
    }
    if texts.iter().any(|text| text.ends_with(END)) {
        joined.push_str(END);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_metrics_have_one_end_and_each_family_once() {
        let first = "# HELP a A.\n# TYPE a gauge\na 1\n# HELP b B.\n# TYPE b gauge\nb 1\n# EOF\n".to_owned();
        let second = "# HELP b B.\n# TYPE b gauge\nb 2\n# HELP c C.\n# TYPE c gauge\nc 1\n# EOF\n".to_owned();
        let expected = "# HELP a A.\n# TYPE a gauge\na 1\n# HELP b B.\n# TYPE b gauge\nb 1\n\
                        # HELP c C.\n# TYPE c gauge\nc 1\n# EOF\n";
        assert_eq!(join(&[first.clone(), second]), expected);
        assert_eq!(join(std::slice::from_ref(&first)), first);
    }

    fn part(name: &'static str, status: StatusCode) -> Part {
        let answer = move || async move { (status, format!("{{\"role\":\"{name}\"}}")) };
        Part { name, routes: Router::new().route("/ready", get(answer)) }
    }

    async fn check(parts: Vec<Part>, status: u16, body: &str) {
        let answer = Part { name: "ops", routes: router(parts, DrainRequest::default()) };
        let answer = answer.ask("/ready", &HeaderMap::new()).await;
        assert_eq!(answer.status(), status);
        assert_eq!(content(answer).await.unwrap(), body);
    }

    #[tokio::test]
    async fn a_process_is_ready_when_all_its_parts_are() {
        let (ready, not_ready) = (part("api", StatusCode::OK), part("edge", StatusCode::SERVICE_UNAVAILABLE));
        check(vec![ready.clone()], 200, r#"{"role":"api"}"#).await;
        check(vec![not_ready.clone()], 503, r#"{"role":"edge"}"#).await;
        let parts = r#"{"parts":{"api":{"role":"api"},"edge":{"role":"edge"}},"ready":false}"#;
        check(vec![ready, not_ready], 503, parts).await;
    }

    async fn drained(peer: &str, headers: &[(&str, &str)]) -> u16 {
        let requests = DrainRequest::default();
        requests.complete(0);
        let mut call = Request::post("/drain").extension(Peer(peer.parse().unwrap()));
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        router(Vec::new(), requests).call(call.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn only_a_direct_call_from_the_same_machine_drains_the_process() {
        let local = "127.0.0.1:5000";
        for host in
            ["127.0.0.1:4001", "127.0.0.1", "127.1.2.3:80", "localhost:4001", "LOCALHOST", "[::1]:4001", "[::1]"]
        {
            assert_eq!(drained(local, &[("host", host)]).await, 200, "{host}");
            assert_eq!(drained("[::1]:5000", &[("host", host)]).await, 200, "{host}");
            assert_eq!(drained("192.0.2.7:5000", &[("host", host)]).await, 403, "{host}");
        }
        let hosts =
            ["evil.example:4001", "localhost.evil.example", "evil.localhost.", "192.0.2.7:4001", "[2001:db8::1]", ""];
        for host in hosts {
            assert_eq!(drained(local, &[("host", host)]).await, 403, "{host:?}");
        }
        assert_eq!(drained(local, &[]).await, 403, "no host");
        for header in [
            ("x-forwarded-for", "8.8.8.8"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "localhost"),
            ("x-forwarded-port", ""),
            ("forwarded", "for=8.8.8.8"),
            ("origin", "http://localhost:4001"),
        ] {
            assert_eq!(drained(local, &[("host", "localhost"), header]).await, 403, "{header:?}");
        }
    }
}
