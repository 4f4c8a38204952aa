//! The kinds of server that tools call, and the question which of them answers at an address.

use std::fmt;
use std::time::Duration;

use axum::http::{Method, Request, Uri};
use bytes::Bytes;
use http_body_util::Full;

use crate::http::{Client, ClientLimits, SYSTEM_HEADER};

/// Timeout of the question.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Longest answer to it that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A server that a tool calls, or that answers in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// The sidecar of a service.
    Sidecar,
    /// The broker between the sidecars.
    Broker,
    /// A server of durable streams.
    Streams,
    /// The listener of a sidecar to which its broker delivers.
    Listen,
    /// Any server, at its address for operators.
    Process,
}

impl ServerKind {
    /// Returns the flag that sets its address, with an example value.
    pub(super) fn flag(self) -> (&'static str, &'static str) {
        match self {
            Self::Sidecar | Self::Listen => ("--api", "http://127.0.0.1:4001"),
            Self::Broker => ("--broker", "http://127.0.0.1:3100"),
            Self::Streams => ("--url", "http://127.0.0.1:4437/v1/stream"),
            Self::Process => ("--url", "http://127.0.0.1:9100"),
        }
    }

    /// Returns a command that starts one.
    pub(super) fn command(self) -> &'static str {
        match self {
            Self::Sidecar | Self::Listen => "exorelay dev",
            Self::Broker => "exorelay broker",
            Self::Streams => "exorelay streams",
            Self::Process => "exorelay run --ops 127.0.0.1:9100",
        }
    }

    /// Returns the use of its address.
    pub(super) fn usage(self) -> &'static str {
        match self {
            Self::Sidecar => "it takes `exorelay send`, `request`, `tail` and `dead-letters` with --api",
            Self::Broker => "it takes `exorelay tail`, `activity` and `ps` with --broker",
            Self::Streams => "it takes `exorelay stream` with --url, the path /v1/stream included",
            Self::Process => "it takes `exorelay health` and `drain`",
            Self::Listen => "only its broker calls that address; tools call its api.address",
        }
    }

    /// Parses the name by which a server calls itself.
    fn of_system(system: &[u8]) -> Option<Self> {
        match system {
            b"api" => Some(Self::Sidecar),
            b"broker" => Some(Self::Broker),
            b"streams" | b"edge" => Some(Self::Streams),
            b"listen" => Some(Self::Listen),
            b"ops" => Some(Self::Process),
            _ => None,
        }
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sidecar => "sidecar",
            Self::Broker => "broker",
            Self::Streams => "server of streams",
            Self::Listen => "sidecar's bus-facing listener",
            Self::Process => "server with an address for operators",
        })
    }
}

/// Returns the kind of the server at this URL, if it is one of ours: asks its `GET /health`.
pub(super) async fn found_at(url: &str) -> Option<ServerKind> {
    let limits = ClientLimits { connect_timeout: TIMEOUT, timeout: TIMEOUT, answer_bytes_max: ANSWER_BYTES_MAX };
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.method_mut() = Method::GET;
    let (client, base) = Client::of_server(url, limits);
    let uri: Uri = base.parse().ok()?;
    *request.uri_mut() = format!("{}://{}/health", uri.scheme_str()?, uri.authority()?).parse().ok()?;
    let answer = client.call(request).await.ok()?;
    ServerKind::of_system(answer.headers.get(SYSTEM_HEADER)?.as_bytes())
}
