//! Tests with services on WebSockets, frame by frame.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as Packet};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::testing::{Error, MockBroker};

/// A hand-written service of the 2017 protocol.
struct Service(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Service {
    async fn connect(broker: &MockBroker) -> Self {
        let (socket, answer) = connect_async(broker.ws_url()).await.unwrap();
        assert!(answer.headers().get("exo-acks").is_none());
        Self(socket)
    }

    async fn registered(broker: &MockBroker, role: &str) -> Self {
        let mut service = Self::connect(broker).await;
        let payload = json!({ "clientName": role });
        let frame = json!({ "name": "exocom.register-service", "sender": role, "id": "1", "activityId": "1", "payload": payload });
        service.send(frame).await;
        broker.wait_until_known(role).await.unwrap();
        service
    }

    async fn send(&mut self, frame: Value) {
        self.0.send(Packet::text(frame.to_string())).await.unwrap();
    }

    async fn recv(&mut self) -> Value {
        let next = tokio::time::timeout(std::time::Duration::from_secs(10), self.0.next());
        let packet = next.await.expect("a frame in time").unwrap().unwrap();
        serde_json::from_str(packet.to_text().unwrap()).unwrap()
    }
}

async fn until_unknown(broker: &MockBroker, role: &str) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while broker.knows(role) {
        assert!(tokio::time::Instant::now() < deadline, "'{role}' is still known");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_service_is_known_from_its_registration_until_it_disconnects() {
    let broker = MockBroker::start().await.unwrap();
    let mut polite = Service::registered(&broker, "users").await;
    assert!(broker.received().is_empty(), "a registration is not recorded as a message");
    polite.0.close(None).await.unwrap();
    until_unknown(&broker, "users").await;
    let abrupt = Service::registered(&broker, "users").await;
    drop(abrupt);
    until_unknown(&broker, "users").await;
}

#[tokio::test]
async fn sent_frames_have_the_keys_of_the_original_protocol() {
    let broker = MockBroker::start().await.unwrap();
    let mut service = Service::registered(&broker, "users").await;
    let sending = broker.send("users", "create user").payload(json!({ "name": "Will" })).auth("1").security();
    let sent = sending.activity("336").id("111").await.unwrap();
    let frame = service.recv().await;
    let keys: Vec<&str> = frame.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["activityId", "auth", "id", "isSecurity", "name", "payload", "responseTime", "sender", "timestamp"];
    assert_eq!(keys, expected);
    assert_eq!((&frame["id"], &frame["activityId"], &frame["sender"]), (&json!("111"), &json!("336"), &json!("")));
    assert_eq!((&frame["auth"], &frame["isSecurity"]), (&json!("1"), &json!(true)));
    assert_eq!(sent.id.as_str(), "111");
    assert_eq!(broker.last_response_code(), None);
}

#[tokio::test]
async fn received_messages_keep_the_fields_of_their_frame() {
    let broker = MockBroker::start().await.unwrap();
    let mut service = Service::registered(&broker, "web").await;
    let frame = json!({ "name": "create user", "sender": "web", "id": "2", "activityId": "3", "payload": [1], "auth": { "sessionId": "s1" } });
    service.send(frame).await;
    let message = broker.wait_until_received("create user").await.unwrap();
    assert_eq!((message.id.as_str(), message.conversation().as_str()), ("2", "3"));
    assert_eq!(message.sender.unwrap().as_str(), "web");
    assert_eq!(message.auth.unwrap().to::<Value>().unwrap(), json!({ "sessionId": "s1" }));
    assert_eq!(message.payload.unwrap().as_bytes(), "[1]");
}

#[tokio::test]
async fn a_reply_goes_back_on_the_same_connection_in_the_same_activity() {
    let broker = MockBroker::start().await.unwrap();
    broker.reply_to("ping", "pong", json!({})).unwrap();
    let (mut one, mut other) = (Service::registered(&broker, "web").await, Service::registered(&broker, "web").await);
    one.send(json!({ "name": "other", "sender": "web", "id": "4", "activityId": "4" })).await;
    for (service, activity) in [(&mut one, "5"), (&mut other, "6")] {
        service.send(json!({ "name": "ping", "sender": "web", "id": "7", "activityId": activity, "auth": 1 })).await;
        let answer = service.recv().await;
        assert_eq!((&answer["name"], &answer["activityId"]), (&json!("pong"), &json!(activity)));
        assert_eq!((&answer["payload"], &answer["auth"]), (&json!({}), &json!(1)));
    }
}

#[tokio::test]
async fn status_frames_are_answered_and_can_be_sent() {
    let broker = MockBroker::start().await.unwrap();
    let mut service = Service::registered(&broker, "web").await;
    service.send(json!({ "name": "__status" })).await;
    assert_eq!(service.recv().await["name"], "__status-ok");
    broker.send("web", "__status").await.unwrap();
    assert_eq!(service.recv().await["name"], "__status");
    service.send(json!({ "name": "__status-ok", "sender": "web", "id": "8", "activityId": "8" })).await;
    assert_eq!(broker.wait_until_received("__status-ok").await.unwrap().sender.unwrap().as_str(), "web");
}

#[tokio::test]
async fn unreadable_frames_are_listed_in_the_error_of_a_failed_wait() {
    let broker = MockBroker::start().await.unwrap();
    let mut service = Service::registered(&broker, "web").await;
    service.0.send(Packet::text("zonk")).await.unwrap();
    service.send(json!({ "name": "no id" })).await;
    service.0.send(Packet::binary(r#"{"name":"binary","id":"9"}"#.as_bytes().to_vec())).await.unwrap();
    broker.wait_until_received("binary").await.unwrap();
    let broker = broker.patience(std::time::Duration::ZERO);
    let error = broker.wait_until_received("text").await.unwrap_err().to_string();
    assert!(
        error.contains("received: 'binary'; known services: 'web'; errors: a frame could not be read: "),
        "{error}"
    );
    assert!(error.ends_with("missing message id"), "{error}");
}

#[tokio::test]
async fn a_cut_connection_ends_without_a_close_frame() {
    let broker = MockBroker::start().await.unwrap();
    let mut service = Service::registered(&broker, "web").await;
    broker.drop_connections();
    assert!(!broker.knows("web"));
    assert!(matches!(broker.send("web", "ping").await, Err(Error::UnknownService(_))));
    let end = tokio::time::timeout(std::time::Duration::from_secs(10), service.0.next()).await.unwrap();
    assert!(matches!(end, Some(Err(SocketError::Protocol(_) | SocketError::Io(_)))), "{end:?}");
    Service::registered(&broker, "web").await;
}

#[tokio::test]
async fn a_service_that_does_not_read_becomes_busy() {
    let broker = MockBroker::start().await.unwrap();
    let _service = Service::registered(&broker, "web").await;
    let payload = "x".repeat(10_000);
    let mut sent = 0;
    let error = loop {
        match broker.send("web", "much").payload(&payload).await {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 10_000, "the queue has no limit");
    };
    assert_eq!(error.to_string(), "the service 'web' does not read: 1024 frames are waiting for it");
}
