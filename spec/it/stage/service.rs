//! A service over HTTP that records its messages and answers with the same payload.

use std::net::TcpListener;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::received::Received;

/// The service. Dropping it acts like kill -9: listener, connections and handlers end at once.
pub(crate) struct Service {
    runtime: Option<Runtime>,
    address: String,
    received: Received,
}

impl Service {
    /// Starts a service at `address`. It answers a message `x` with `x.done` and the same payload.
    pub(crate) fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let received = Received::default();
        let entering = received.clone();
        let answer = move |body: Bytes| async move {
            let message: Value = serde_json::from_slice(&body).unwrap();
            let payload = message["payload"].clone();
            if let Ok(entry) = serde_json::from_value(payload.clone()) {
                entering.record(entry);
            }
            let name = format!("{}.done", message["name"].as_str().unwrap_or("message"));
            let reply = json!({ "reply": { "name": name, "payload": payload } });
            if message["name"] == super::ORDER {
                StatusCode::NO_CONTENT.into_response()
            } else {
                Json(reply).into_response()
            }
        };
        let router = Router::new().route("/run/{*message}", post(answer));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await
        });
        Self { runtime: Some(runtime), address, received }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the received messages.
    pub(crate) fn received(&self) -> &Received {
        &self.received
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
