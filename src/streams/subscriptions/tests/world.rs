//! Scripted receivers, and helpers for calls.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tower_service::Service;

use crate::http::UrlRejected;
use crate::store::{DiskConfig, DiskStore, Durability, MemoryStore, Store};
use crate::streams::subscriptions::WebhookClient;
use crate::streams::subscriptions::rules::{Attempt, Outcome};
use crate::streams::subscriptions::wire::WakeView;
use crate::streams::tests::world::until;
use crate::streams::{Config, Streams, router};

/// Settings of a server that receivers reach under the host of [`call_with`].
pub(super) fn config() -> Config {
    Config { public_url: "http://streams.example".into(), ..Config::default() }
}

/// A receiver with a scripted outcome for each call; further calls are done.
pub(super) struct Receiver {
    outcomes: Mutex<VecDeque<Outcome>>,
    calls: Mutex<Vec<WakeView>>,
    /// One permit per call that may complete.
    gate: Semaphore,
}

impl Receiver {
    pub(super) fn new(outcomes: impl IntoIterator<Item = Outcome>) -> Arc<Self> {
        Self::with_gate(outcomes, Semaphore::MAX_PERMITS)
    }

    /// Creates a receiver whose calls wait for [`Receiver::open`].
    pub(super) fn closed() -> Arc<Self> {
        Self::with_gate([], 0)
    }

    fn with_gate(outcomes: impl IntoIterator<Item = Outcome>, permits: usize) -> Arc<Self> {
        let (outcomes, calls) = (Mutex::new(outcomes.into_iter().collect()), Mutex::default());
        Arc::new(Self { outcomes, calls, gate: Semaphore::new(permits) })
    }

    /// Lets `count` calls complete.
    pub(super) fn open(&self, count: usize) {
        self.gate.add_permits(count);
    }

    pub(super) fn calls(&self) -> Vec<WakeView> {
        self.calls.lock().unwrap().clone()
    }

    /// Waits for the call with this number, counted from 1.
    pub(super) async fn call(&self, number: usize) -> WakeView {
        until(&format!("call {number}"), || self.calls().len() >= number).await;
        self.calls()[number - 1].clone()
    }
}

/// The webhook client that calls a [`Receiver`].
pub(super) struct ReceiverClient(pub(super) Arc<Receiver>);

impl WebhookClient for ReceiverClient {
    fn check(&self, _: &str) -> Result<(), UrlRejected> {
        Ok(())
    }

    fn deliver(&self, attempt: Attempt, _: u64) -> BoxFuture<'static, Outcome> {
        let receiver = Arc::clone(&self.0);
        Box::pin(async move {
            receiver.calls.lock().unwrap().push(attempt.wake);
            receiver.gate.acquire().await.unwrap().forget();
            let outcome = receiver.outcomes.lock().unwrap().pop_front();
            outcome.unwrap_or(Outcome::Done)
        })
    }
}

/// A store that outlives the streams opened on it.
pub(super) enum TestStorage {
    Memory(Arc<MemoryStore>),
    Disk(TempDir),
}

impl TestStorage {
    /// Returns an empty storage of each kind.
    pub(super) fn each() -> [Self; 2] {
        [Self::Memory(Arc::default()), Self::Disk(tempfile::tempdir().unwrap())]
    }

    pub(super) fn open(&self, receiver: &Arc<Receiver>) -> Streams {
        let webhook_client = Arc::new(ReceiverClient(Arc::clone(receiver)));
        Streams::open_with(config(), self.store(), webhook_client).unwrap()
    }

    fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::clone(store) as Arc<dyn Store>,
            Self::Disk(dir) => {
                let dir = dir.path().to_owned();
                let config =
                    DiskConfig { dir, durability: Durability::Sync, free_bytes_min: 0, cache_bytes: 1024 * 1024 };
                Arc::new(DiskStore::open(&config).unwrap())
            }
        }
    }
}

pub(super) fn failed() -> Outcome {
    Outcome::Failed { cause: "no answer".into() }
}

pub(super) fn open(store: &Arc<MemoryStore>, receiver: &Arc<Receiver>) -> Streams {
    open_with(config(), store, receiver)
}

pub(super) fn open_with(config: Config, store: &Arc<MemoryStore>, receiver: &Arc<Receiver>) -> Streams {
    let store = Arc::clone(store) as Arc<dyn Store>;
    Streams::open_with(config, store, Arc::new(ReceiverClient(Arc::clone(receiver)))).unwrap()
}

/// Sends a request below `/v1/stream/`. Returns status and JSON body; `null` if the body is not JSON.
pub(super) async fn call(streams: &Streams, line: &str, body: Value) -> (u16, Value) {
    call_with(router(streams.clone()), line, "", body).await
}

/// Sends a request with a bearer token.
pub(super) async fn call_as(streams: &Streams, token: &Value, line: &str, body: Value) -> (u16, Value) {
    call_with(router(streams.clone()), line, &format!("Bearer {}", token.as_str().unwrap_or_default()), body).await
}

pub(super) async fn call_with(mut router: Router, line: &str, authorization: &str, body: Value) -> (u16, Value) {
    let (method, target) = line.split_once(' ').unwrap();
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/v1/stream/{target}") };
    let mut request = Request::builder().method(method.parse::<Method>().unwrap()).uri(target);
    request = request.header("host", "streams.example").header("content-type", "application/json");
    if !authorization.is_empty() {
        request = request.header("authorization", authorization);
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let answer = router.call(request.body(body).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

pub(super) async fn webhook(streams: &Streams, id: &str, pattern: &str) {
    let body = json!({"type": "webhook", "pattern": pattern, "webhook": {"url": "https://receiver.example"}});
    let (status, view) = call(streams, &format!("PUT __ds/subscriptions/{id}"), body).await;
    assert_eq!(status, 201, "{view}");
}

pub(super) async fn pull(streams: &Streams, id: &str, pattern: &str) {
    call(streams, "PUT wake", json!([])).await;
    let body = json!({"type": "pull-wake", "pattern": pattern, "wake_stream": "wake", "lease_ttl_ms": 5000});
    let (status, view) = call(streams, &format!("PUT __ds/subscriptions/{id}"), body).await;
    assert_eq!(status, 201, "{view}");
}

/// Appends to a stream, and creates it if it does not exist.
pub(super) async fn append(streams: &Streams, name: &str) {
    if call(streams, &format!("PUT {name}"), json!({"n": 1})).await.0 != 201 {
        assert_eq!(call(streams, &format!("POST {name}"), json!({"n": 2})).await.0, 204);
    }
}

pub(super) async fn view(streams: &Streams, id: &str) -> Value {
    call(streams, &format!("GET __ds/subscriptions/{id}"), Value::Null).await.1
}

pub(super) async fn claim(streams: &Streams, id: &str, worker: &str) -> (u16, Value) {
    call(streams, &format!("POST __ds/subscriptions/{id}/claim"), json!({"worker": worker})).await
}

/// Returns the body that acknowledges everything that was claimed.
pub(super) fn all_of(claimed: &Value) -> Value {
    let streams = claimed["streams"].as_array().unwrap();
    let acks: Vec<Value> =
        streams.iter().map(|stream| json!({"stream": stream["path"], "offset": stream["tail_offset"]})).collect();
    json!({"wake_id": claimed["wake_id"], "generation": claimed["generation"], "acks": acks, "done": true})
}

/// Returns the events in the wake stream.
pub(super) async fn events(streams: &Streams) -> Vec<Value> {
    let (_, events) = call(streams, "GET wake?offset=-1", Value::Null).await;
    events.as_array().cloned().unwrap_or_default()
}
