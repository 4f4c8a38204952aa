//! A mock broker, and services that are connected to it over WebSockets.

use std::sync::Arc;

use exorelay::Message;
use exorelay::testing::MockBroker;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message as Packet;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// The mock broker of a scenario.
#[derive(Default)]
pub struct Mock {
    pub broker: Option<Arc<MockBroker>>,
    pub sockets: Vec<(String, Socket)>,
    /// A task that waits for a message.
    pub waiting: Option<JoinHandle<Result<Message, String>>>,
    pub sent: Option<Message>,
    pub failure: Option<String>,
}

impl Mock {
    pub fn broker(&self) -> Arc<MockBroker> {
        self.broker.clone().expect("there is a mock broker")
    }

    pub fn socket(&mut self, role: &str) -> &mut Socket {
        let found = self.sockets.iter_mut().find(|(known, _)| known == role);
        &mut found.unwrap_or_else(|| panic!("{role:?} is not connected")).1
    }
}

impl std::fmt::Debug for Mock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let received = self.broker.as_ref().map(|broker| broker.received());
        write!(formatter, "received: {received:?}, failure: {:?}", self.failure)
    }
}

/// A service of 2017, as far as its frames go.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Connects and registers.
    pub async fn register(url: &str, role: &str) -> Self {
        let (socket, _) = connect_async(url).await.expect("it can connect");
        let mut service = Self(socket);
        service.send("exocom.register-service", role, json!({ "clientName": role }), "registration").await;
        service
    }

    pub async fn send(&mut self, name: &str, sender: &str, payload: Value, activity: &str) {
        let frame = json!({ "name": name, "sender": sender, "id": "1", "activityId": activity, "payload": payload });
        self.0.send(Packet::text(frame.to_string())).await.expect("it can send");
    }

    /// The next frame.
    pub async fn next(&mut self) -> Value {
        let next = tokio::time::timeout(std::time::Duration::from_secs(20), self.0.next()).await;
        let packet = next.expect("a frame in time").expect("the connection is there").expect("a frame");
        serde_json::from_slice(&packet.into_data()).expect("JSON")
    }
}
