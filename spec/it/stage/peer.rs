//! Services as those of the WebSocket era: one connection each, and nothing known of our relay.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Packet;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::roster::{instances, knows};
use super::{Process, post};

/// How long a frame may take before its test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// One service.
pub(crate) struct Peer {
    pub(crate) socket: WebSocketStream<TcpStream>,
    role: String,
}

/// Tells the broker its roles, in the form of the last original. exo 3.7.
pub(crate) async fn declare(broker: &Process, roles: Value) {
    let posted = post(&format!("{}/services", broker.url("broker")), &roles).await;
    assert_eq!(posted.status, 200, "{posted:?}");
}

impl Peer {
    /// Connects and registers; answers when the broker knows it.
    pub(crate) async fn open(broker: &Process, role: &str) -> Self {
        let before = instances(broker, role).await.len();
        let mut peer = Self::connect(broker.address("broker"), role).await;
        peer.register(role).await;
        knows(broker, &[(role, before + 1)]).await;
        peer
    }

    /// Connects only; `role` is who its messages say they are from.
    pub(crate) async fn connect(address: &str, role: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let config = WebSocketConfig::default().read_buffer_size(16 * 1024).write_buffer_size(0);
        let shaken = client_async_with_config(format!("ws://{address}/services"), stream, Some(config)).await;
        Self { socket: shaken.unwrap().0, role: role.to_owned() }
    }

    pub(crate) async fn register(&mut self, role: &str) {
        self.send(json!({ "name": "exocom.register-service", "sender": role, "id": "r", "activityId": "r" })).await;
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        self.send_text(&frame.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.socket.send(Packet::text(text)).await.unwrap();
    }

    /// Sends a message of the conversation `activity`.
    pub(crate) async fn say(&mut self, name: &str, id: &str, activity: &str, payload: impl Into<Value>) {
        let payload: Value = payload.into();
        let frame = json!({ "name": name, "sender": self.role, "id": id, "activityId": activity, "payload": payload });
        self.send(frame).await;
    }

    /// The next message; `None` when the connection has ended, in whatever way.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let packet = timeout(PATIENCE, self.socket.next()).await;
            match packet.unwrap_or_else(|_| panic!("{} waited in vain for a frame", self.role)) {
                Some(Ok(Packet::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Packet::Ping(_) | Packet::Pong(_))) => {}
                Some(Ok(Packet::Binary(_) | Packet::Frame(_) | Packet::Close(_)) | Err(_)) | None => return None,
            }
        }
    }

    /// The next message, which must have this id.
    pub(crate) async fn gets(&mut self, id: &str) -> Value {
        let message = self.next().await.expect("an open connection");
        assert_eq!(message["id"], id, "{:.300}", message.to_string());
        message
    }

    /// How the connection ends: the code of its close frame, 1006 if there is none.
    pub(crate) async fn end(&mut self) -> u16 {
        loop {
            let packet = timeout(PATIENCE, self.socket.next()).await;
            match packet.unwrap_or_else(|_| panic!("{} waited in vain for the end", self.role)) {
                Some(Ok(Packet::Close(frame))) => return frame.map_or(1005, |frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return 1006,
            }
        }
    }
}
