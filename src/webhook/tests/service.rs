//! A scripted service that records its calls.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::response::{Builder, Response};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Reaction of the service to one call.
#[derive(Debug, Clone)]
pub(super) enum Reaction {
    Answer(Answer),
    /// Never answers.
    Hang,
}

#[derive(Debug, Clone)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

pub(super) fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    Answer { status, headers: Vec::new(), body: body.into() }
}

pub(super) fn json(body: &'static str) -> Answer {
    answer(200, body).header("content-type", "application/json")
}

impl Answer {
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<Answer> for Reaction {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// A recorded call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    /// Returns a header as text, or an empty string if it is absent.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(super) struct Service {
    pub(super) url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Reaction>>,
    calls: Mutex<Vec<Call>>,
    concurrent: AtomicUsize,
    concurrent_peak: AtomicUsize,
}

impl Service {
    /// Follows the script, then answers every call with 200 and an empty body.
    pub(super) async fn start(script: impl IntoIterator<Item = Reaction>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { script: Mutex::new(script.into_iter().collect()), ..Shared::default() });
        let router = Router::new().fallback(react).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, serving }
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// Returns the highest number of calls that were in progress at the same time.
    pub(super) fn concurrent_peak(&self) -> usize {
        self.shared.concurrent_peak.load(Ordering::SeqCst)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn react(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let concurrent = shared.concurrent.fetch_add(1, Ordering::SeqCst) + 1;
    shared.concurrent_peak.fetch_max(concurrent, Ordering::SeqCst);
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let path = parts.uri.path().to_owned();
    assert_eq!(parts.method, "POST");
    shared.calls.lock().unwrap().push(Call { path, headers: parts.headers, body });
    let reaction = shared.script.lock().unwrap().pop_front();
    // Lets concurrent calls overlap.
    tokio::task::yield_now().await;
    let answer = match reaction {
        None => answer(200, ""),
        Some(Reaction::Answer(answer)) => answer,
        Some(Reaction::Hang) => std::future::pending().await,
    };
    shared.concurrent.fetch_sub(1, Ordering::SeqCst);
    let response = Builder::new().status(answer.status);
    let response = answer.headers.iter().fold(response, |response, (name, value)| response.header(*name, value));
    response.body(Body::from(answer.body)).unwrap()
}
