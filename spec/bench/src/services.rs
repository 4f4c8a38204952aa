//! The services that contenders call, each run as a process of its own so that its CPU time and memory are its own.
//! Every service prints one ready line in the form the `exorelay` command uses.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::net::TcpListener;

use crate::error::Error;

/// Answers `POST /echo` with the body it got, until the process is stopped.
pub async fn echo() -> Result<(), Error> {
    let echo = |body: Bytes| async { ([(header::CONTENT_TYPE, "application/json")], body) };
    serve("echo", Router::new().route("/echo", post(echo))).await
}

/// Answers `POST /run/echo`, a sidecar's webhook call, with a reply that carries the payload it got.
pub async fn webhook() -> Result<(), Error> {
    serve("webhook", Router::new().route("/run/echo", post(reply))).await
}

/// Answers every request on subject `echo` of the NATS server at `server` with the payload it got, once it has announced itself as
/// `system`.
pub async fn nats_responder(server: SocketAddr, system: &str) -> Result<(), Error> {
    let client = async_nats::connect(server.to_string()).await.map_err(|error| Error::Nats(error.to_string()))?;
    let mut requests = client.subscribe("echo").await.map_err(|error| Error::Nats(error.to_string()))?;
    client.flush().await.map_err(|error| Error::Nats(error.to_string()))?;
    announce(system, server)?;
    while let Some(request) = requests.next().await {
        let Some(inbox) = request.reply else { continue };
        client.publish(inbox, request.payload).await.map_err(|error| Error::Nats(error.to_string()))?;
    }
    Err(Error::Nats("the subscription ended".to_owned()))
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Serialize)]
struct Answer<'a> {
    reply: Reply<'a>,
}

#[derive(Serialize)]
struct Reply<'a> {
    name: &'static str,
    payload: &'a RawValue,
}

async fn reply(body: Bytes) -> Response {
    let answer = serde_json::from_slice(&body).and_then(|envelope: Envelope<'_>| {
        serde_json::to_vec(&Answer { reply: Reply { name: "echoed", payload: envelope.payload } })
    });
    match answer {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn serve(system: &str, router: Router) -> Result<(), Error> {
    use axum::serve::ListenerExt as _;

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    announce(system, listener.local_addr()?)?;
    // Without this, small answers wait for the other side's delayed acknowledgement.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, router).await?)
}

/// Prints the ready line of `system`.
pub fn announce(system: &str, address: SocketAddr) -> Result<(), Error> {
    let line = serde_json::json!({ "system": system, "status": "ready", "address": address.to_string() });
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}
