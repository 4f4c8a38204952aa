//! WebSockets that are slow, broken or violate the protocol.

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message as Packet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, connect_async};

use super::sockets::{Peer, TestBroker, role, users_and_web};
use super::{eventually, quick};
use crate::broker::{ACKS_HEADER, Config};

const REGISTER: &str = "exocom.register-service";

#[tokio::test]
async fn a_slow_reader_gets_the_rest_of_its_messages_even_if_it_sends_meanwhile() {
    let config = Config { delivery_timeout_ms: 60_000, heartbeat_ms: 60_000, ..quick() };
    let server = TestBroker::new(config, users_and_web()).await;
    let (mut web, mut users) = (Peer::connect(&server, "web").await, Peer::connect(&server, "users").await);
    // More than the socket buffers hold, so that it cannot be written at once.
    let large = "x".repeat(4_000_000);
    for id in 0..5 {
        web.send(json!({ "name": "create user", "sender": "web", "id": id.to_string(), "payload": large })).await;
    }
    for id in 0..20 {
        users.say("user created", &format!("u{id}"), "a").await;
        web.gets(json!({ "id": format!("u{id}") })).await;
    }
    for id in 0..5 {
        users.gets(json!({ "id": id.to_string() })).await;
    }
}

#[tokio::test]
async fn a_close_frame_is_answered_and_the_next_instance_takes_over() {
    let server = TestBroker::new(quick(), users_and_web()).await;
    let mut web = Peer::connect(&server, "web").await;
    for code in [CloseCode::Normal, CloseCode::Away] {
        let mut users = Peer::connect(&server, "users").await;
        let frame = CloseFrame { code, reason: "done".into() };
        users.socket.send(Packet::Close(Some(frame.clone()))).await.unwrap();
        let end = tokio::time::timeout(super::DEADLINE, users.socket.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(end, Packet::Close(Some(frame)));
        eventually(|| server.count() == 1).await;
    }
    web.say("create user", "1", "a").await;
    Peer::connect(&server, "users").await.gets(json!({ "id": "1" })).await;
}

fn id_of(frame: &serde_json::Value) -> u64 {
    frame["id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_socket_that_changes_its_role_leaves_no_instance_and_no_messages_behind() {
    let config = Config { delivery_timeout_ms: 60_000, heartbeat_ms: 60_000, ..quick() };
    let mut roles = users_and_web();
    roles.push(role("log", &[], &["user created"]));
    let server = TestBroker::new(config, roles).await;
    let (mut web, mut users) = (Peer::connect(&server, "web").await, Peer::connect(&server, "users").await);
    let large = "x".repeat(4_000_000);
    for id in 0..5 {
        web.send(json!({ "name": "create user", "sender": "web", "id": id.to_string(), "payload": large })).await;
    }
    users.send(json!({ "name": "exocom.register-service", "sender": "log", "id": "r", "activityId": "r" })).await;
    eventually(|| server.broker.instances().iter().any(|row| row.role.as_str() == "log")).await;
    let mut successor = Peer::connect(&server, "users").await;
    let mut inherited = vec![id_of(&successor.next().await)];
    while inherited.last() != Some(&4) {
        inherited.push(id_of(&successor.next().await));
    }
    successor.say("user created", "6", "b").await;
    web.gets(json!({ "id": "6" })).await;
    let mut received = vec![id_of(&users.next().await)];
    while received.last() != Some(&6) {
        received.push(id_of(&users.next().await));
    }
    // The socket buffers of the old connection hold an unknown number of messages, which count as delivered. The rest
    // goes to the successor; the one partly written goes to both.
    assert!(inherited.is_sorted_by(|a, b| a + 1 == *b), "{inherited:?}");
    assert!((0..inherited[0]).all(|id| received.contains(&id)), "{inherited:?} {received:?}");
    assert_eq!(server.count(), 3);
    eventually(|| server.broker.metrics().contains("queued_messages 0\n")).await;
}

/// Connects as one of our relays: both ends acknowledge messages.
async fn connect_relay(server: &TestBroker, role: &'static str, receives: &[&str]) -> Peer {
    let mut peer = connect_relay_only(server, role).await;
    let payload = json!({ "clientName": role, "instance": format!("{role}-1"), "receives": receives });
    peer.send(json!({ "name": REGISTER, "sender": role, "id": "r", "activityId": "r", "payload": payload })).await;
    assert_eq!(peer.next().await, json!([{ "status": 200 }]));
    peer
}

/// Returns the statuses of the next `count` acknowledgements.
async fn statuses(peer: &mut Peer, count: usize) -> Vec<u64> {
    let mut statuses = Vec::new();
    while statuses.len() < count {
        let list = peer.next().await;
        statuses.extend(list.as_array().unwrap().iter().map(|answer| answer["status"].as_u64().unwrap()));
    }
    statuses
}

#[tokio::test]
async fn messages_sent_after_a_refused_one_are_refused_until_it_is_sent_again() {
    let config = Config { queue_messages_max: 1, ..quick() };
    let server = TestBroker::new(config, Vec::new()).await;
    let mut web = connect_relay(&server, "web", &[]).await;
    let mut users = connect_relay(&server, "users", &["full", "empty"]).await;
    web.say("full", "1", "a").await;
    assert_eq!(statuses(&mut web, 1).await, [200]);
    users.gets(json!({ "id": "1" })).await;
    web.say("full", "2", "a").await;
    assert_eq!(statuses(&mut web, 1).await, [503]);
    // Too late for the next message, which was sent before the refusal was read.
    users.send(json!([{ "status": 200 }])).await;
    eventually(|| server.broker.metrics().contains("queued_messages 0\n")).await;
    web.say("full", "3", "a").await;
    assert_eq!(statuses(&mut web, 1).await, [503]);
    // The relay has read both refusals and starts again with the first refused message.
    web.send(json!([])).await;
    for id in ["2", "3"] {
        web.say("full", id, "a").await;
        assert_eq!(statuses(&mut web, 1).await, [200]);
        users.gets(json!({ "id": id })).await;
        users.send(json!([{ "status": 200 }])).await;
        eventually(|| server.broker.metrics().contains("queued_messages 0\n")).await;
    }
}

/// Returns the close code of a connection, or 1006 if it ends without a close frame.
pub(super) async fn end_of(peer: &mut Peer) -> u16 {
    loop {
        match tokio::time::timeout(super::DEADLINE, peer.socket.next()).await.expect("an end") {
            Some(Ok(Packet::Close(frame))) => return frame.map_or(1005, |frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return 1006,
        }
    }
}

#[tokio::test]
async fn a_relay_that_connects_again_replaces_its_hanging_connection() {
    let config = Config { delivery_timeout_ms: 60_000, heartbeat_ms: 60_000, ..quick() };
    let server = TestBroker::new(config, Vec::new()).await;
    let mut web = connect_relay(&server, "web", &[]).await;
    let mut hanging = connect_relay(&server, "users", &["create user"]).await;
    for id in ["1", "2"] {
        web.say("create user", id, "a").await;
    }
    hanging.gets(json!({ "id": "1" })).await;
    let mut users = connect_relay(&server, "users", &["create user"]).await;
    for id in ["1", "2"] {
        users.gets(json!({ "id": id })).await;
    }
    assert_eq!(end_of(&mut hanging).await, 1000);
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn an_array_of_acknowledgements_is_ignored_from_originals_and_an_error_from_relays_that_got_nothing() {
    let server = TestBroker::new(quick(), users_and_web()).await;
    let (mut web, mut users) = (Peer::connect(&server, "web").await, Peer::connect(&server, "users").await);
    for list in [json!([]), json!([{ "status": 200 }]), json!(["users"])] {
        users.send(list).await;
    }
    users.say("user created", "1", "a").await;
    web.gets(json!({ "id": "1" })).await;
    for list in [json!([{ "status": 200 }]), json!([5])] {
        let mut relay = connect_relay(&server, "users", &[]).await;
        relay.send(list).await;
        assert_eq!(end_of(&mut relay).await, 1002);
    }
}

/// Connects as one of our relays, without registering.
async fn connect_relay_only(server: &TestBroker, role: &'static str) -> Peer {
    let mut request = format!("ws://{}/services", server.serving.address()).into_client_request().unwrap();
    request.headers_mut().insert(ACKS_HEADER, "1".parse().unwrap());
    let (socket, answer) = connect_async(request).await.unwrap();
    assert_eq!(answer.headers()[ACKS_HEADER], "1");
    Peer { socket, role }
}

#[tokio::test]
async fn the_close_code_of_a_refused_registration_says_whether_to_retry() {
    let server = TestBroker::new(Config { instances_max: 1, ..quick() }, users_and_web()).await;
    let register = json!({ "name": REGISTER, "sender": "users", "id": "r", "activityId": "r" });
    let web = Peer::connect(&server, "web").await;
    let mut late = connect_relay_only(&server, "users").await;
    late.send(register.clone()).await;
    assert_eq!(end_of(&mut late).await, 1013);
    drop(web);
    eventually(|| server.count() == 0).await;
    server.broker.engine().exchange().drain(&mut Vec::new());
    let mut later = connect_relay_only(&server, "users").await;
    later.send(register).await;
    assert_eq!(end_of(&mut later).await, 1001);
}

/// Frames that violate the protocol, and the code that says so.
pub(super) fn malformed_frames() -> [(u16, Vec<u8>); 6] {
    let frame = |first: u8, payload: &[u8]| [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat();
    [
        (1007, frame(0x81, b"\xff\xfe")),
        (1002, frame(0x83, b"{}")),
        (1002, frame(0xf1, b"{}")),
        (1002, frame(0x80, b"{}")),
        (1002, frame(0x09, b"half a ping")),
        (1002, b"\x81\x02{}".to_vec()),
    ]
}

pub(super) async fn write_raw(peer: &mut Peer, bytes: &[u8]) {
    let MaybeTlsStream::Plain(stream) = peer.socket.get_mut() else { panic!("no TLS here") };
    stream.write_all(bytes).await.unwrap();
}

#[tokio::test]
async fn a_malformed_frame_closes_its_connection_with_the_matching_code() {
    let server = TestBroker::new(quick(), users_and_web()).await;
    let (mut web, mut users) = (Peer::connect(&server, "web").await, Peer::connect(&server, "users").await);
    for (code, bytes) in malformed_frames() {
        let mut peer = connect_relay(&server, "users", &[]).await;
        write_raw(&mut peer, &bytes).await;
        assert_eq!(end_of(&mut peer).await, code, "{bytes:?}");
        eventually(|| server.count() == 2).await;
    }
    web.say("create user", "1", "a").await;
    users.gets(json!({ "id": "1" })).await;
}
