//! Turns a request's connection into a WebSocket. RFC 6455 4.2, 10.2.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, WebSocketUpgrade};
use axum::http::header::{CONNECTION, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::metered::{FrameMeter, Metered};
use crate::http::access::Origins;
use crate::memory::Budget;

/// The connection below a WebSocket that a listener accepted.
pub(crate) type Accepted = Metered<TokioIo<Upgraded>>;

/// A connection that becomes a WebSocket once the response to its request is written.
pub(crate) struct Upgrade {
    connection: OnUpgrade,
    /// The budget of the listener.
    frames: Budget,
}

/// Rejection of a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UpgradeError {
    /// The request comes from a web page whose origin is not listed.
    Origin {
        /// The page's origin.
        origin: String,
    },
    /// The request is not a WebSocket handshake.
    Handshake {
        /// The part that is missing or wrong.
        cause: String,
    },
}

/// Checks origin and handshake of a request. Returns the response to send and the connection behind it.
///
/// A page may connect if its origin is one of `origins`; one that comes from the same host is no exception, since a page can make
/// any name lead here. Requests without an `Origin` are not from pages and may always connect.
pub(crate) async fn upgrade(parts: &mut Parts, origins: &Origins) -> Result<(Response, Upgrade), UpgradeError> {
    check_origin(&parts.headers, origins)?;
    let invalid = |cause: String| UpgradeError::Handshake { cause };
    let connection = parts.extensions.get::<OnUpgrade>().cloned();
    // axum checks the handshake. Its sockets are not used because they hide the connection: closing it with unread data
    // would reset it, and the other end would lose our last frames.
    let checked = WebSocketUpgrade::from_request_parts(parts, &()).await;
    drop(checked.map_err(|error| invalid(error.body_text()))?);
    let key = parts.headers.get(SEC_WEBSOCKET_KEY);
    let (Some(key), Some(connection)) = (key, connection) else {
        return Err(invalid("the connection cannot become a WebSocket".into()));
    };
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    let accept = accept.map_err(|error| invalid(error.to_string()))?;
    let headers: [(HeaderName, HeaderValue); 3] = [
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_ACCEPT, accept),
    ];
    let response = (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response();
    let frames = parts.extensions.remove().unwrap_or_default();
    Ok((response, Upgrade { connection, frames }))
}

fn check_origin(headers: &HeaderMap, origins: &Origins) -> Result<(), UpgradeError> {
    for origin in headers.get_all(ORIGIN) {
        let origin = String::from_utf8_lossy(origin.as_bytes());
        if !origins.allows(&origin) {
            return Err(UpgradeError::Origin { origin: origin.into_owned() });
        }
    }
    Ok(())
}

impl Upgrade {
    /// Returns the socket once the response is written, with the meter of its messages, which may have `message_bytes_max` at
    /// first; `None` if the connection ended before.
    pub(crate) async fn socket(
        self,
        config: WebSocketConfig,
        message_bytes_max: usize,
    ) -> Option<(WebSocketStream<Accepted>, Arc<FrameMeter>)> {
        let connection = self.connection.await;
        let connection = connection
            .inspect_err(|error| tracing::debug!(%error, "the connection ended before it became a WebSocket"))
            .ok()?;
        let meter = FrameMeter::new(self.frames, message_bytes_max);
        let connection = Metered::new(TokioIo::new(connection), Arc::clone(&meter));
        Some((WebSocketStream::from_raw_socket(connection, Role::Server, Some(config)).await, meter))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::HOST;

    use super::*;

    fn check(origin: &'static str, origins: &[&str], is_allowed: bool) {
        let headers = [(HOST, "exocom:3100"), (ORIGIN, origin)];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
        let refused = || Err(UpgradeError::Origin { origin: origin.to_owned() });
        let expected = if is_allowed { Ok(()) } else { refused() };
        assert_eq!(check_origin(&HeaderMap::from_iter(headers), &Origins::new(&origins)), expected, "{origin}");
    }

    #[test]
    fn pages_of_listed_origins_connect_and_those_of_the_own_host_do_not() {
        check("http://exocom:3100", &[], false);
        check("http://evil.example", &[], false);
        check("null", &[], false);
        check("https://good.example", &["https://good.example"], true);
        check("https://good.example:8443", &["https://good.example"], false);
        check("https://any.example", &["*"], true);
        assert_eq!(check_origin(&HeaderMap::new(), &Origins::default()), Ok(()));
    }
}
