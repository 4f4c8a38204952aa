//! A service of the HTTP era that records what it receives and behaves as configured.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use exorelay::http::{Limits, Listening, Serving};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::sync::Notify;

use super::eventually;

/// Answer of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// With this status.
    Answer(u16),
    /// Never.
    Hang,
}

/// One message that was delivered and taken.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) name: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Received {
    pub(crate) fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_default()
    }
}

/// The service. It keeps its port when it goes offline and comes back.
pub(crate) struct RecordingService {
    state: Shared,
    address: std::net::SocketAddr,
    serving: Option<Serving>,
    /// Holds the port while the service is offline: nothing else may receive what is sent there.
    held: Option<TcpSocket>,
}

#[derive(Clone)]
struct Shared {
    received: Arc<Mutex<Vec<Received>>>,
    calls: Arc<Mutex<usize>>,
    conduct: Arc<Mutex<Conduct>>,
    /// Names of messages, and the name that has to arrive before each of them is answered.
    held: Arc<Mutex<HashMap<String, String>>>,
    /// Notified of every message.
    came: Arc<Notify>,
}

impl RecordingService {
    /// Starts a service that takes everything.
    pub(crate) async fn start() -> Self {
        let state = Shared {
            received: Arc::default(),
            calls: Arc::default(),
            conduct: Arc::new(Mutex::new(Conduct::Answer(200))),
            held: Arc::default(),
            came: Arc::default(),
        };
        let serving = serve("127.0.0.1:0", &state).await.expect("a free port");
        Self { state, address: serving.address(), serving: Some(serving), held: None }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn behave(&self, conduct: Conduct) {
        *self.state.conduct.lock().unwrap() = conduct;
    }

    /// Answers the first message only once the other one has arrived.
    pub(crate) fn hold_until(&self, name: &str, other: &str) {
        self.state.held.lock().unwrap().insert(name.to_owned(), other.to_owned());
    }

    pub(crate) async fn go_offline(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.drain(Duration::ZERO).await;
            let address = self.address;
            let mut held = None;
            // The listener is gone when it no longer has the port.
            eventually(
                || format!("{address} is still listened to"),
                async || {
                    held = hold(address).ok();
                    held.is_some()
                },
            )
            .await;
            self.held = held;
        }
    }

    pub(crate) async fn come_back(&mut self) {
        let address = self.address.to_string();
        let mut serving = None;
        // The port may be held for a moment by what is left of the old connections.
        eventually(
            || format!("{address} is not free again"),
            async || {
                serving = serve(&address, &self.state).await;
                serving.is_some()
            },
        )
        .await;
        self.serving = serving;
        self.held = None;
    }

    /// Messages it accepted, in order.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// Number of delivery attempts, refused ones included.
    pub(crate) fn calls(&self) -> usize {
        *self.state.calls.lock().unwrap()
    }
}

impl std::fmt::Debug for RecordingService {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "service at {}: {:?}", self.address, self.received())
    }
}

async fn serve(address: &str, state: &Shared) -> Option<Serving> {
    let router = Router::new().fallback(receive).with_state(state.clone());
    let listening = Listening::bind("address", address).await.ok()?;
    Some(listening.serve(router, &Limits::default()))
}

async fn receive(State(state): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    *state.calls.lock().unwrap() += 1;
    let conduct = *state.conduct.lock().unwrap();
    let status = match conduct {
        Conduct::Answer(status) => StatusCode::from_u16(status).unwrap(),
        Conduct::Hang => std::future::pending().await,
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if method != Method::POST || !uri.path().starts_with("/run") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let encoded = uri.path().trim_start_matches("/run").trim_start_matches('/');
    let name = percent_decode_str(encoded).decode_utf8_lossy().into_owned();
    let held = state.held.lock().unwrap().get(&name).cloned();
    if let Some(other) = held {
        let has_come = || state.received.lock().unwrap().iter().any(|received| received.name == other);
        loop {
            let came = state.came.notified();
            if has_come() {
                break;
            }
            came.await;
        }
    }
    let take = |name: String, body: Value| {
        if status.is_success() {
            state.received.lock().unwrap().push(Received { name, headers: headers.clone(), body });
            state.came.notify_waiters();
        }
    };
    let Value::Array(messages) = body else {
        take(name, body);
        return status.into_response();
    };
    let statuses: Vec<_> = messages.iter().map(|_| json!({ "status": status.as_u16() })).collect();
    for message in messages {
        take(message["name"].as_str().unwrap_or_default().to_owned(), message);
    }
    Value::from(statuses).to_string().into_response()
}

/// Reserves a port without listening: connections are refused.
fn hold(address: std::net::SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
