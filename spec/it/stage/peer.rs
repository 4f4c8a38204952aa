//! Services that speak the original WebSocket protocol themselves.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Packet;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::instances::{instances, wait_until_registered};
use super::{Process, post};

/// Timeout for one frame.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service with its connection.
pub(crate) struct Peer {
    pub(crate) socket: WebSocketStream<TcpStream>,
    role: String,
}

/// Configures the roles of a broker, in the form of the last original. exo 3.7.
pub(crate) async fn declare(broker: &Process, roles: Value) {
    let posted = post(&format!("{}/services", broker.url("broker")), &roles).await;
    assert_eq!(posted.status, 200, "{posted:?}");
}

impl Peer {
    /// Connects and registers, and waits until the broker lists the service.
    pub(crate) async fn open(broker: &Process, role: &str) -> Self {
        let before = instances(broker, role).await.len();
        let mut peer = Self::connect(broker.address("broker"), role).await;
        peer.register(role).await;
        wait_until_registered(broker, &[(role, before + 1)]).await;
        peer
    }

    /// Connects without registering. `role` is the sender of its messages.
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

    /// Sends a message of an activity.
    pub(crate) async fn send_message(&mut self, name: &str, id: &str, activity: &str, payload: impl Into<Value>) {
        let payload: Value = payload.into();
        let frame = json!({ "name": name, "sender": self.role, "id": id, "activityId": activity, "payload": payload });
        self.send(frame).await;
    }

    /// Returns the next message; `None` if the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let packet = timeout(PATIENCE, self.socket.next()).await;
            match packet.unwrap_or_else(|_| panic!("{} timed out waiting for a frame", self.role)) {
                Some(Ok(Packet::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Packet::Ping(_) | Packet::Pong(_))) => {}
                Some(Ok(Packet::Binary(_) | Packet::Frame(_) | Packet::Close(_)) | Err(_)) | None => return None,
            }
        }
    }

    /// Returns the next message, which must have this id.
    pub(crate) async fn expect_message(&mut self, id: &str) -> Value {
        let message = self.next().await.expect("an open connection");
        assert_eq!(message["id"], id, "{:.300}", message.to_string());
        message
    }

    /// Waits for the end of the connection and returns the code of its close frame; 1006 if there is none.
    pub(crate) async fn end(&mut self) -> u16 {
        loop {
            let packet = timeout(PATIENCE, self.socket.next()).await;
            match packet.unwrap_or_else(|_| panic!("{} timed out waiting for the end", self.role)) {
                Some(Ok(Packet::Close(frame))) => return frame.map_or(1005, |frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return 1006,
            }
        }
    }
}
