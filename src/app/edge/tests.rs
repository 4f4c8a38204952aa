//! Streams and a second system on one listener, and the second system alone.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{Method, Request};
use axum::routing::get;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::{Edge, Listener};
use crate::app::access::Guards;
use crate::app::config::LogFormat;
use crate::app::streams::StreamsSystem;
use crate::app::system::{Routes, System};
use crate::app::{Config, Error};
use crate::http::{Client, ClientLimits, Introduction, Kind, Limits, Listening, Problem, not_found};
use crate::streams;
use crate::time::deadline_in;

/// A system that answers `GET <path>/hello` and records the end of its life.
struct Greeter {
    path: &'static str,
    problem: Mutex<Option<Problem>>,
    greeted: Counter,
    calls: Mutex<Vec<&'static str>>,
}

impl Greeter {
    fn at(path: &'static str) -> Arc<Self> {
        Arc::new(Self { path, problem: Mutex::default(), greeted: Counter::default(), calls: Mutex::default() })
    }

    fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().clone()
    }
}

impl System for Greeter {
    fn name(&self) -> &'static str {
        "greeter"
    }

    fn routes(&self, _: &Limits) -> Routes {
        let greeted = self.greeted.clone();
        let hello = get(async move || {
            greeted.inc();
            "hello"
        });
        let router = Router::new().route(&format!("{}/hello", self.path), hello).fallback(not_found);
        Routes { paths: vec![self.path.to_owned()], answers: Arc::new(router) }
    }

    fn introduction(&self) -> Introduction {
        Introduction { about: "It greets.".into(), ..Introduction::default() }
    }

    fn readiness(&self) -> Result<(), Problem> {
        self.problem.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn register_metrics(&self, registry: &mut Registry) {
        registry.register("exorelay_greeter_greeted", "Greetings", self.greeted.clone());
    }

    fn drain(&self) {
        self.calls.lock().unwrap().push("drain");
    }

    fn close(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.calls.lock().unwrap().push("close") })
    }
}

async fn open(systems: Vec<Arc<dyn System>>) -> Result<Edge, Error> {
    let limits = Limits::default();
    let access = streams::routes::access(&streams::Config::default(), &limits);
    let guards = Guards::read(&Config::default()).unwrap();
    let (name, flag, address) = ("edge", "--edge HOST:PORT", "127.0.0.1:0");
    let listener = Listener { name, flag, address, format: LogFormat::Json, access, guards: &guards, tls: None };
    Edge::open(listener, async |_| Ok(systems), NonZeroUsize::MIN, &limits).await
}

/// Streams in memory together with `greeter`.
async fn open_both(greeter: &Arc<Greeter>) -> Result<Edge, Error> {
    let place = Listening::bind("test", "127.0.0.1:0").await.unwrap().place().clone();
    let streams = StreamsSystem::open(&streams::Config::default(), &place).await.unwrap();
    open(vec![streams, greeter.clone()]).await
}

async fn call(edge: &Edge, method: Method, path: &str) -> (u16, String) {
    let time = Duration::from_secs(10);
    let client = Client::new(ClientLimits { connect_timeout: time, timeout: time, answer_bytes_max: 64 * 1024 });
    let request = Request::builder().method(method).uri(format!("http://{}{path}", edge.place()));
    let answer = client.call(request.body(Full::new(Bytes::new())).unwrap()).await.unwrap();
    (answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).unwrap())
}

async fn check(edge: &Edge, method: Method, path: &str, status: u16, words: &str) {
    let (got, body) = call(edge, method, path).await;
    assert_eq!(got, status, "{path}: {body}");
    assert!(body.contains(words), "{path}: {body}");
}

#[tokio::test]
async fn two_systems_share_a_listener_and_its_operations() {
    let greeter = Greeter::at("/v1/streams");
    let edge = open_both(&greeter).await.unwrap();
    check(&edge, Method::PUT, "/v1/stream/a", 201, "").await;
    check(&edge, Method::GET, "/v1/streams/hello", 200, "hello").await;
    check(&edge, Method::GET, "/v1/streams/other", 404, "not-found").await;
    check(&edge, Method::GET, "/other", 404, "not-found").await;
    check(&edge, Method::GET, "/", 200, "Durable Streams").await;
    check(&edge, Method::GET, "/", 200, "It greets.").await;
    check(&edge, Method::POST, "/health", 405, "method-not-allowed").await;
    check(&edge, Method::GET, "/health", 200, "{\"status\":\"ok\"}").await;
    check(&edge, Method::GET, "/ready", 200, "{\"status\":\"ready\"}").await;
    check(&edge, Method::GET, "/metrics", 200, "exorelay_streams_created_total 1\n").await;
    check(&edge, Method::GET, "/metrics", 200, "exorelay_streams_streams 1\n").await;
    check(&edge, Method::GET, "/metrics", 200, "exorelay_greeter_greeted_total 1\n").await;
    edge.close_until(deadline_in(Duration::from_secs(10))).await;
    assert_eq!(greeter.calls(), ["drain", "close"]);
}

#[tokio::test]
async fn ready_names_each_system_that_is_not() {
    let greeter = Greeter::at("/greeter");
    let edge = open_both(&greeter).await.unwrap();
    *greeter.problem.lock().unwrap() = Some(Problem::new(Kind::Busy, "out of greetings"));
    check(&edge, Method::GET, "/ready", 503, "greeter: out of greetings").await;
    for system in &edge.systems {
        system.drain();
    }
    check(&edge, Method::GET, "/ready", 503, "streams: the server is shutting down; greeter: out of greetings").await;
}

#[tokio::test]
async fn a_system_is_served_alone_by_the_same_code() {
    let greeter = Greeter::at("/greeter");
    let edge = open(vec![greeter.clone()]).await.unwrap();
    check(&edge, Method::GET, "/greeter/hello", 200, "hello").await;
    check(&edge, Method::GET, "/v1/stream/a", 404, "not-found").await;
    check(&edge, Method::GET, "/ready", 200, "{\"status\":\"ready\"}").await;
    let (_, metrics) = call(&edge, Method::GET, "/metrics").await;
    assert!(!metrics.contains("exorelay_streams"), "{metrics}");
}

#[tokio::test]
async fn overlapping_paths_are_an_error_at_the_start() {
    let error = open_both(&Greeter::at("/v1/stream/greeter")).await.map(drop).unwrap_err();
    assert!(error.is_configuration());
    let expected = "greeter cannot be served at \"/v1/stream/greeter\": /v1/stream is served by streams";
    assert_eq!(error.to_string(), expected);
}
