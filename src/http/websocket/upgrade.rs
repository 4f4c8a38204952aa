//! Taking a request's connection over as a WebSocket. RFC 6455 4.2.

use axum::body::Body;
use axum::extract::{FromRequestParts, WebSocketUpgrade};
use axum::http::header::{CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// What is under a WebSocket that a listener took over.
pub(crate) type Accepted = TokioIo<Upgraded>;

/// A connection that becomes a WebSocket once its request is answered.
pub(crate) struct Upgrade(OnUpgrade);

/// Checks the handshake. Answers what to answer, and the connection behind it. Errors: what is wrong with it.
pub(crate) async fn upgrade(parts: &mut Parts) -> Result<(Response, Upgrade), String> {
    let connection = parts.extensions.get::<OnUpgrade>().cloned();
    // The rules of the handshake are axum's. Its sockets are not used, since they hide the connection: one that is closed
    // before all is read that has come takes our last words with it.
    let checked = WebSocketUpgrade::from_request_parts(parts, &()).await;
    drop(checked.map_err(|error| error.body_text())?);
    let key = parts.headers.get(SEC_WEBSOCKET_KEY);
    let (Some(key), Some(connection)) = (key, connection) else {
        return Err("the connection cannot become a WebSocket".into());
    };
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    let accept = accept.map_err(|error| error.to_string())?;
    let headers: [(HeaderName, HeaderValue); 3] = [
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_ACCEPT, accept),
    ];
    let answer = (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response();
    Ok((answer, Upgrade(connection)))
}

impl Upgrade {
    /// The socket, as soon as the answer has left. `None` if the connection ended before.
    pub(crate) async fn socket(self, config: WebSocketConfig) -> Option<WebSocketStream<Accepted>> {
        let connection = self.0.await;
        let connection = connection.inspect_err(|error| tracing::debug!(%error, "no WebSocket came of it")).ok()?;
        Some(WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, Some(config)).await)
    }
}
