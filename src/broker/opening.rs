//! WebSocket handshake. exo 3, 3.7.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::response::Response;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::error::Error;
use super::member::{Acks, Evidence};
use super::rules::Note;
use super::service::Broker;
use super::session::Connection;
use super::wire::ACKS_HEADER;
use crate::http::access::{Origins, bearer_token, rights_of};
use crate::http::websocket::{self, UpgradeError};
use crate::http::{CloseControl, ConnectionPermit};

/// Read buffer size. Allocated for every socket, idle or not: half the memory of an idle socket.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Write buffer size. Allocated only while something is written.
const WRITE_BUFFER_BYTES: usize = 8 * 1024;

/// Reason why a handshake was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The request comes from a web page whose origin is not listed.
    #[error("web pages of {origin:?} may not connect; list the origin in broker.cors_origins to allow them")]
    Origin {
        /// Origin of the page.
        origin: String,
    },
    /// The request is not a valid handshake.
    #[error("{cause}")]
    Handshake {
        /// Cause.
        cause: String,
    },
    /// The broker shuts down, and the other end could not read the reason from a close frame.
    #[error("{}", Error::Draining)]
    Draining,
}

/// Answers a handshake and serves the socket. Refusals are logged.
pub(super) async fn open(broker: &Broker, request: Request) -> Result<Response, Refusal> {
    let opened = upgrade(broker, request).await;
    if let Err(refusal) = &opened {
        broker.engine().note(&Note::BadUpgrade { cause: refusal.to_string() });
    }
    opened
}

async fn upgrade(broker: &Broker, request: Request) -> Result<Response, Refusal> {
    let config = broker.config();
    let (mut parts, _) = request.into_parts();
    let acks = if parts.headers.contains_key(ACKS_HEADER) { Acks::Each } else { Acks::None };
    if acks == Acks::None && broker.is_draining() {
        return Err(Refusal::Draining);
    }
    let (mut response, connection) = websocket::upgrade(&mut parts, &Origins::new(&config.cors_origins)).await?;
    let bounds = WebSocketConfig::default()
        .max_message_size(Some(config.frame_bytes_max))
        .max_frame_size(Some(config.frame_bytes_max))
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES);
    let control = parts.extensions.remove::<CloseControl>().filter(|_| acks == Acks::None);
    if let Some(control) = &control
        && let Err(error) = control.reset_at_the_end()
    {
        tracing::warn!(%error, "cannot make a connection end with a reset; an original client may not survive its end");
    }
    let permit = parts.extensions.remove::<ConnectionPermit>();
    let token = bearer_token(&parts.headers).map(str::to_owned);
    let evidence = Evidence { token, rights: rights_of(&parts.extensions) };
    let broker = broker.clone();
    let tasks = broker.clone();
    tasks.spawn(async move {
        // A service that has not registered yet may send as much as a registration.
        if let Some(socket) = connection.socket(bounds, broker.config().registration_bytes_max).await {
            // Borrowed, because a future that owns `connection` would hold it twice.
            let mut connection = Connection::new(broker, socket, (acks, evidence), control);
            connection.serve().await;
        }
        drop(permit);
    });
    if acks == Acks::Each {
        response.headers_mut().insert(ACKS_HEADER, HeaderValue::from_static("1"));
    }
    Ok(response)
}

impl From<UpgradeError> for Refusal {
    fn from(error: UpgradeError) -> Self {
        match error {
            UpgradeError::Origin { origin } => Self::Origin { origin },
            UpgradeError::Handshake { cause } => Self::Handshake { cause },
        }
    }
}
