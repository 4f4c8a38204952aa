//! Opening handshake with the broker.

use std::time::Duration;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, StatusCode, Uri};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, handshake::client::Request};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

use crate::broker::ACKS_HEADER;
use crate::bus::Error;
use crate::bus::error::problem_detail;
use crate::http::{ClientError, split_credentials, tls};

/// Default path, as brokers of the WebSocket era expect it. exo 3.
const PATH: &str = "/services";

/// Read buffer size. Larger frames grow the buffer.
const READ_BYTES: usize = 16 * 1024;

/// Amount of buffered output that triggers a write without a flush.
const WRITE_BYTES: usize = 64 * 1024;

/// A connection over plain TCP, or over TLS.
pub(super) type Stream = MaybeTlsStream<TcpStream>;

/// Kind of broker, by whether it acknowledges messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// Ours: acknowledges each message.
    Acknowledging,
    /// An original: never acknowledges anything.
    Original,
}

/// Address of a broker.
#[derive(Debug, Clone)]
pub(super) struct Target {
    uri: Uri,
    /// Host and port, for error messages.
    pub(super) authority: String,
    pub(super) port: u16,
    /// The user and the password of the URL, else the token.
    authorization: Option<HeaderValue>,
}

impl Target {
    /// Parses a `ws` or `wss` URL. The path is optional, and so is the port: 80, or 443 with TLS. Returns `None` for any
    /// other URL.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let (url, authorization) = split_credentials(url);
        let uri: Uri = url.parse().ok()?;
        let default_port = match uri.scheme_str()? {
            "ws" => 80,
            "wss" => 443,
            _ => return None,
        };
        let host = uri.host().filter(|host| !host.is_empty())?;
        let port = uri.port_u16().unwrap_or(default_port);
        let authority = format!("{host}:{port}");
        let uri = match uri.path() {
            "" | "/" => format!("{}://{}{PATH}", uri.scheme_str()?, uri.authority()?).parse().ok()?,
            _ => uri,
        };
        Some(Self { uri, authority, port, authorization })
    }

    /// Adds the token that says who calls, unless the URL has a user and a password.
    pub(super) fn with_token(self, token: &str) -> Self {
        let bearer = (!token.is_empty()).then(|| HeaderValue::try_from(format!("Bearer {token}")).ok()).flatten();
        let bearer = bearer.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        Self { authorization: self.authorization.or(bearer), ..self }
    }

    fn request(&self) -> Result<Request, tungstenite::Error> {
        let mut request = self.uri.clone().into_client_request()?;
        request.headers_mut().insert(ACKS_HEADER, HeaderValue::from_static("1"));
        if let Some(value) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        Ok(request)
    }

    /// Connects and performs the handshake within `timeout`. Cancel-safe: closes the connection if dropped.
    pub(super) async fn open(
        &self,
        timeout: Duration,
        frame_bytes_max: usize,
    ) -> Result<(WebSocketStream<Stream>, Peer), Error> {
        let opened = tokio::time::timeout(timeout, self.shake_hands(frame_bytes_max)).await;
        opened.unwrap_or_else(|_| {
            let authority = self.authority.clone();
            Err(ClientError::Timeout { authority, timeout }.into())
        })
    }

    async fn shake_hands(&self, frame_bytes_max: usize) -> Result<(WebSocketStream<Stream>, Peer), Error> {
        let cannot = |error: std::io::Error| {
            let (authority, cause) = (self.authority.clone(), error.to_string());
            Error::from(ClientError::Connect { authority, cause })
        };
        let connector = match self.uri.scheme_str() {
            Some("wss") => tls::connector(&self.authority)?,
            _ => Connector::Plain,
        };
        let stream = TcpStream::connect(&self.authority).await.map_err(cannot)?;
        // Frames are small and latency matters.
        stream.set_nodelay(true).map_err(cannot)?;
        let request = self.request().map_err(|error| self.refused(error))?;
        let opened = tls::open_websocket(request, stream, limits(frame_bytes_max), connector).await;
        let (socket, answer) = opened.map_err(|error| self.refused(error))?;
        let answers = answer.headers().get(ACKS_HEADER).is_some_and(|value| value == "1");
        Ok((socket, if answers { Peer::Acknowledging } else { Peer::Original }))
    }

    fn refused(&self, error: tungstenite::Error) -> Error {
        let authority = self.authority.clone();
        let tungstenite::Error::Http(answer) = error else {
            return ClientError::Broken { authority, cause: error.to_string() }.into();
        };
        let general = match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "it does not accept this relay; check bus.token",
            _ => "expected an ExoCom broker of the WebSocket era; for one of the HTTP era use http://",
        };
        let said = answer.body().as_deref().and_then(problem_detail);
        let (status, hint) = (answer.status().as_u16(), said.unwrap_or_else(|| general.to_owned()));
        Error::Unexpected { url: authority, call: "the WebSocket handshake", status, hint }
    }
}

/// Returns the size limits of a connection.
pub(super) fn limits(frame_bytes_max: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(WRITE_BYTES)
        .max_frame_size(Some(frame_bytes_max))
        .max_message_size(Some(frame_bytes_max))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Option<(&str, &str)>) {
        let target = Target::parse(url);
        let actual = target.as_ref().map(|target| (target.authority.as_str(), target.uri.path()));
        assert_eq!(actual, expected, "{url}");
    }

    #[test]
    fn port_and_path_are_optional() {
        check("ws://exocom", Some(("exocom:80", "/services")));
        check("ws://exocom:3100/", Some(("exocom:3100", "/services")));
        check("wss://exocom/base/services", Some(("exocom:443", "/base/services")));
        check("ws://[::1]:3100", Some(("[::1]:3100", "/services")));
    }

    #[test]
    fn user_and_password_are_sent_with_the_handshake_and_are_not_in_the_address() {
        check("ws://user:secret@exocom:3100", Some(("exocom:3100", "/services")));
        let target = Target::parse("ws://user:secret@exocom:3100").unwrap();
        let request = target.request().unwrap();
        assert_eq!(request.headers()["authorization"], "Basic dXNlcjpzZWNyZXQ=");
        assert_eq!(request.headers()["host"], "exocom:3100");
        assert!(!format!("{target:?}{request:?}").contains("c2VjcmV0"));
    }

    #[test]
    fn other_urls_are_refused() {
        for url in ["http://exocom", "ws://", "exocom:3100", "ws:exocom", ""] {
            check(url, None);
        }
    }
}
