//! Sockets on their bad days: slow, rude, confused, gone.

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message as Packet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, connect_async};

use super::sockets::{Peer, Stage, role, users_and_web};
use super::{eventually, quick};
use crate::broker::{ACKS_HEADER, Config};

const REGISTER: &str = "exocom.register-service";

#[tokio::test]
async fn what_a_slow_reader_could_not_take_at_once_follows_although_it_speaks_meanwhile() {
    let config = Config { delivery_timeout_ms: 60_000, heartbeat_ms: 60_000, ..quick() };
    let stage = Stage::new(config, users_and_web()).await;
    let (mut web, mut users) = (Peer::connect(&stage, "web").await, Peer::connect(&stage, "users").await);
    // More than the system keeps for a connection, so that it cannot be written at one go.
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
async fn a_polite_end_is_answered_and_the_next_instance_takes_over() {
    let stage = Stage::new(quick(), users_and_web()).await;
    let mut web = Peer::connect(&stage, "web").await;
    for code in [CloseCode::Normal, CloseCode::Away] {
        let mut users = Peer::connect(&stage, "users").await;
        let frame = CloseFrame { code, reason: "done".into() };
        users.socket.send(Packet::Close(Some(frame.clone()))).await.unwrap();
        let end = tokio::time::timeout(super::DEADLINE, users.socket.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(end, Packet::Close(Some(frame)));
        eventually(|| stage.count() == 1).await;
    }
    web.say("create user", "1", "a").await;
    Peer::connect(&stage, "users").await.gets(json!({ "id": "1" })).await;
}

fn id_of(frame: &serde_json::Value) -> u64 {
    frame["id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_socket_that_takes_another_role_leaves_no_ghost_and_takes_nothing_along() {
    let config = Config { delivery_timeout_ms: 60_000, heartbeat_ms: 60_000, ..quick() };
    let mut roles = users_and_web();
    roles.push(role("log", &[], &["user created"]));
    let stage = Stage::new(config, roles).await;
    let (mut web, mut users) = (Peer::connect(&stage, "web").await, Peer::connect(&stage, "users").await);
    let large = "x".repeat(4_000_000);
    for id in 0..5 {
        web.send(json!({ "name": "create user", "sender": "web", "id": id.to_string(), "payload": large })).await;
    }
    users.send(json!({ "name": "exocom.register-service", "sender": "log", "id": "r", "activityId": "r" })).await;
    eventually(|| stage.broker.instances().iter().any(|row| row.role.as_str() == "log")).await;
    let mut heir = Peer::connect(&stage, "users").await;
    let mut inherited = vec![id_of(&heir.next().await)];
    while inherited.last() != Some(&4) {
        inherited.push(id_of(&heir.next().await));
    }
    heir.say("user created", "6", "b").await;
    web.gets(json!({ "id": "6" })).await;
    let mut kept = vec![id_of(&users.next().await)];
    while kept.last() != Some(&6) {
        kept.push(id_of(&users.next().await));
    }
    // How much the system takes for the old connection is the system's affair; that was delivered, all else is the
    // heir's, and the one in the middle comes to both.
    assert!(inherited.is_sorted_by(|a, b| a + 1 == *b), "{inherited:?}");
    assert!((0..inherited[0]).all(|id| kept.contains(&id)), "{inherited:?} {kept:?}");
    assert_eq!(stage.count(), 3);
    eventually(|| stage.broker.metrics().contains("queued_messages 0\n")).await;
}

/// A relay of ours: it answers what it gets, and is answered.
async fn connect_relay(stage: &Stage, role: &'static str, receives: &[&str]) -> Peer {
    let mut request = format!("ws://{}/services", stage.serving.address()).into_client_request().unwrap();
    request.headers_mut().insert(ACKS_HEADER, "1".parse().unwrap());
    let (socket, answer) = connect_async(request).await.unwrap();
    assert_eq!(answer.headers()[ACKS_HEADER], "1");
    let mut peer = Peer { socket, role };
    let payload = json!({ "clientName": role, "instance": format!("{role}-1"), "receives": receives });
    peer.send(json!({ "name": REGISTER, "sender": role, "id": "r", "activityId": "r", "payload": payload })).await;
    assert_eq!(peer.next().await, json!([{ "status": 200 }]));
    peer
}

/// The statuses of the next answers.
async fn statuses(peer: &mut Peer, count: usize) -> Vec<u64> {
    let mut statuses = Vec::new();
    while statuses.len() < count {
        let list = peer.next().await;
        statuses.extend(list.as_array().unwrap().iter().map(|answer| answer["status"].as_u64().unwrap()));
    }
    statuses
}

#[tokio::test]
async fn what_was_sent_behind_a_message_without_room_comes_again_behind_it() {
    let config = Config { queue_messages_max: 1, ..quick() };
    let stage = Stage::new(config, Vec::new()).await;
    let mut web = connect_relay(&stage, "web", &[]).await;
    let mut users = connect_relay(&stage, "users", &["full", "empty"]).await;
    web.say("full", "1", "a").await;
    assert_eq!(statuses(&mut web, 1).await, [200]);
    users.gets(json!({ "id": "1" })).await;
    web.say("full", "2", "a").await;
    assert_eq!(statuses(&mut web, 1).await, [503]);
    // The answer comes too late for this one: it was on its way.
    users.send(json!([{ "status": 200 }])).await;
    eventually(|| stage.broker.metrics().contains("queued_messages 0\n")).await;
    web.say("full", "3", "a").await;
    assert_eq!(statuses(&mut web, 1).await, [503]);
    // It has read both: now it begins anew with what was refused.
    web.send(json!([])).await;
    for id in ["2", "3"] {
        web.say("full", id, "a").await;
        assert_eq!(statuses(&mut web, 1).await, [200]);
        users.gets(json!({ "id": id })).await;
        users.send(json!([{ "status": 200 }])).await;
        eventually(|| stage.broker.metrics().contains("queued_messages 0\n")).await;
    }
}

/// How a connection ends: its close code, or 1006 if it just ends.
async fn end_of(peer: &mut Peer) -> u16 {
    loop {
        match tokio::time::timeout(super::DEADLINE, peer.socket.next()).await.expect("an end") {
            Some(Ok(Packet::Close(frame))) => return frame.map_or(1005, |frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return 1006,
        }
    }
}

#[tokio::test]
async fn a_relay_that_connects_anew_takes_its_place_from_the_connection_that_hangs() {
    let config = Config { delivery_timeout_ms: 60_000, heartbeat_ms: 60_000, ..quick() };
    let stage = Stage::new(config, Vec::new()).await;
    let mut web = connect_relay(&stage, "web", &[]).await;
    let mut hanging = connect_relay(&stage, "users", &["create user"]).await;
    for id in ["1", "2"] {
        web.say("create user", id, "a").await;
    }
    hanging.gets(json!({ "id": "1" })).await;
    let mut users = connect_relay(&stage, "users", &["create user"]).await;
    for id in ["1", "2"] {
        users.gets(json!({ "id": id })).await;
    }
    assert_eq!(end_of(&mut hanging).await, 1000);
    assert_eq!(stage.count(), 2);
}

#[tokio::test]
async fn an_array_of_answers_is_nothing_to_an_original_and_a_fault_of_a_relay_that_was_asked_nothing() {
    let stage = Stage::new(quick(), users_and_web()).await;
    let (mut web, mut users) = (Peer::connect(&stage, "web").await, Peer::connect(&stage, "users").await);
    for list in [json!([]), json!([{ "status": 200 }]), json!(["users"])] {
        users.send(list).await;
    }
    users.say("user created", "1", "a").await;
    web.gets(json!({ "id": "1" })).await;
    for list in [json!([{ "status": 200 }]), json!([5])] {
        let mut relay = connect_relay(&stage, "users", &[]).await;
        relay.send(list).await;
        assert_eq!(end_of(&mut relay).await, 1002);
    }
}

#[tokio::test]
async fn registrations_that_cannot_be_are_told_whether_to_come_again() {
    let stage = Stage::new(Config { instances_max: 1, ..quick() }, users_and_web()).await;
    let register = json!({ "name": REGISTER, "sender": "users", "id": "r", "activityId": "r" });
    let web = Peer::connect(&stage, "web").await;
    let mut late = Peer::connect_only(&stage, "users").await;
    late.send(register.clone()).await;
    assert_eq!(end_of(&mut late).await, 1013);
    drop(web);
    eventually(|| stage.count() == 0).await;
    stage.broker.shell().exchange().drain();
    let mut later = Peer::connect_only(&stage, "users").await;
    later.send(register).await;
    assert_eq!(end_of(&mut later).await, 1001);
}

#[tokio::test]
async fn a_broken_frame_ends_its_connection_with_the_code_that_says_why() {
    let stage = Stage::new(quick(), users_and_web()).await;
    let (mut web, mut users) = (Peer::connect(&stage, "web").await, Peer::connect(&stage, "users").await);
    let frame = |first: u8, payload: &[u8]| [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat();
    let broken: [(u16, Vec<u8>); 6] = [
        (1007, frame(0x81, b"\xff\xfe")),
        (1002, frame(0x83, b"{}")),
        (1002, frame(0xf1, b"{}")),
        (1002, frame(0x80, b"{}")),
        (1002, frame(0x09, b"half a ping")),
        (1002, b"\x81\x02{}".to_vec()),
    ];
    for (code, bytes) in broken {
        let mut peer = Peer::connect(&stage, "users").await;
        let MaybeTlsStream::Plain(stream) = peer.socket.get_mut() else { panic!("no TLS here") };
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(end_of(&mut peer).await, code, "{bytes:?}");
        eventually(|| stage.count() == 2).await;
    }
    web.say("create user", "1", "a").await;
    users.gets(json!({ "id": "1" })).await;
}
