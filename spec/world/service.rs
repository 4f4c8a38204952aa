//! A service behind a webhook: it records what it receives, and answers as configured.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};

use super::eventually::{eventually, pause};

/// Answers of the service.
#[derive(Debug, Clone)]
pub enum Behaviour {
    Accept,
    Reply { to: String, name: String, payload: String, after_ms: u64 },
    Body(String),
    TypedBody { content_type: String, body: String },
    Status { status: u16, header: Option<(String, String)>, times: usize },
    Hang,
    Huge(usize),
    Redirect(String),
}

/// One request it received.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub at: Instant,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Recorded {
    pub fn name(&self) -> String {
        let encoded = self.path.strip_prefix("/run/").or_else(|| self.path.strip_prefix("/send/")).unwrap_or_default();
        percent_decode_str(encoded).decode_utf8_lossy().into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A field's text as it came over the wire.
    pub fn raw(&self, field: &str) -> Option<String> {
        let fields: std::collections::HashMap<String, Box<serde_json::value::RawValue>> =
            serde_json::from_slice(&self.body).ok()?;
        fields.get(field).map(|raw| raw.get().to_owned())
    }
}

#[derive(Clone)]
struct Shared {
    recorded: Arc<Mutex<Vec<Recorded>>>,
    behaviour: Arc<Mutex<Behaviour>>,
}

/// A service of this process.
pub struct Service {
    pub address: String,
    shared: Shared,
    socket: Option<TcpSocket>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Service at {}", self.address)
    }
}

impl Service {
    /// A service that has its port and does not listen yet.
    pub fn down(behaviour: Behaviour) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port is free");
        let address = socket.local_addr().expect("it is bound").to_string();
        let shared = Shared { recorded: Arc::default(), behaviour: Arc::new(Mutex::new(behaviour)) };
        Self { address, shared, socket: Some(socket) }
    }

    pub fn up(behaviour: Behaviour) -> Self {
        let mut service = Self::down(behaviour);
        service.come_up();
        service
    }

    pub fn come_up(&mut self) {
        let listener = self.socket.take().expect("it is down").listen(1024).expect("it can listen");
        let router = Router::new().fallback(answer).with_state(self.shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    /// A service that closes every connection with a reset.
    pub async fn resetting() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream.set_zero_linger());
            }
        });
        let shared = Shared { recorded: Arc::default(), behaviour: Arc::new(Mutex::new(Behaviour::Accept)) };
        Self { address, shared, socket: None }
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    pub fn recorded(&self) -> Vec<Recorded> {
        self.shared.recorded.lock().unwrap().clone()
    }

    /// The `count`th message of this name, once it is there.
    pub async fn got(&self, name: &str, count: usize) -> Recorded {
        eventually((name.to_owned(), count), || async {
            self.recorded().into_iter().filter(|recorded| recorded.name() == name).nth(count - 1)
        })
        .await
    }

    pub async fn last(&self) -> Recorded {
        eventually("a message at the service", || async { self.recorded().pop() }).await
    }
}

async fn answer(State(shared): State<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if uri.path() == "/config.json" {
        return "{}".into_response();
    }
    if uri.path().starts_with("/services") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let recorded = Recorded { at: Instant::now(), path: uri.path().to_owned(), headers, body };
    let name = recorded.name();
    shared.recorded.lock().unwrap().push(recorded);
    let behaviour = next(&mut shared.behaviour.lock().unwrap());
    match behaviour {
        Behaviour::Accept => StatusCode::OK.into_response(),
        Behaviour::Reply { to, name: reply, payload, after_ms } if to == name => {
            pause(after_ms).await;
            json(format!(r#"{{"reply":{{"name":"{reply}","payload":{payload}}}}}"#))
        }
        Behaviour::Reply { .. } => StatusCode::OK.into_response(),
        Behaviour::Body(body) => json(body),
        Behaviour::TypedBody { content_type, body } => ([("content-type", content_type)], body).into_response(),
        Behaviour::Status { status, header, .. } => {
            let status = StatusCode::from_u16(status).expect("a status");
            match header {
                Some((name, value)) => (status, [(name, value)]).into_response(),
                None => status.into_response(),
            }
        }
        Behaviour::Hang => {
            tokio::time::timeout(Duration::from_secs(60), std::future::pending::<()>()).await.ok();
            StatusCode::OK.into_response()
        }
        Behaviour::Huge(bytes) => json(format!("\"{}\"", "x".repeat(bytes))),
        Behaviour::Redirect(url) => (StatusCode::FOUND, [("location", url)]).into_response(),
    }
}

/// Returns the answer to give now; a status for a limited number of messages is used up.
fn next(behaviour: &mut Behaviour) -> Behaviour {
    if let Behaviour::Status { times, .. } = behaviour {
        if *times == 0 {
            return Behaviour::Accept;
        }
        *times = times.saturating_sub(1);
    }
    behaviour.clone()
}

fn json(body: String) -> Response {
    ([("content-type", "application/json")], body).into_response()
}
