//! A fake sidecar: records requests, and gives the answers of the test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use tokio::sync::oneshot;

use super::program::wait_for;

/// A recorded request. Headers are sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// `POST /send/hello?x=y`
    pub(crate) line: String,
    /// `name: value`
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

/// A fake server that answers until it is dropped.
pub(crate) struct Sidecar {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    _stop: oneshot::Sender<()>,
}

impl Sidecar {
    /// Starts it. `answer` gets the call and the number of earlier calls.
    pub(crate) fn start(answer: impl Fn(&Call, usize) -> Response<Body> + Clone + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer)
    }

    /// As [`Sidecar::start`], at this address.
    pub(crate) fn start_at(
        address: &str,
        answer: impl Fn(&Call, usize) -> Response<Body> + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let recorder = Arc::clone(&calls);
        let router = Router::new().fallback(move |request: Request<Body>| async move {
            let call = read(request).await;
            let before = {
                let mut calls = recorder.lock().unwrap();
                calls.push(call.clone());
                calls.len() - 1
            };
            answer(&call, before)
        });
        let (stop, stopped) = oneshot::channel::<()>();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = axum::serve(listener, router) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { address, calls, _stop: stop }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns all calls so far, except the question which server it is.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().iter().filter(|call| call.line != "GET /health").cloned().collect()
    }

    /// Waits for `count` calls and returns the request lines of all.
    pub(crate) fn lines(&self, count: usize) -> Vec<String> {
        let calls = wait_for(format!("{count} calls"), || Some(self.calls()).filter(|calls| calls.len() >= count));
        calls.into_iter().map(|call| call.line).collect()
    }
}

async fn read(request: Request<Body>) -> Call {
    let (parts, body) = request.into_parts();
    let mut headers: Vec<String> = parts
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    headers.sort();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Call { line: format!("{} {}", parts.method, parts.uri), headers, body: String::from_utf8_lossy(&body).into_owned() }
}

/// Returns an answer with this status, these headers and this body.
pub(crate) fn answer(status: u16, headers: &[(&'static str, &str)], body: impl Into<Body>) -> Response<Body> {
    let response = Response::builder().status(status);
    let response = headers.iter().fold(response, |response, (name, value)| response.header(*name, *value));
    response.body(body.into()).unwrap()
}

/// Returns an address without a listener.
pub(crate) fn unused_address() -> String {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string()
}
