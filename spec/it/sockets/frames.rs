//! Tests of malformed, too long, and fragmented frames.

use bytes::Bytes;
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message as Packet;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::broker;
use crate::eventually::eventually;
use crate::stage::Peer;

/// Log message about a malformed frame.
const MALFORMED: &str = "malformed frame";

/// Returns copies of a valid frame, each with one field of a wrong type.
fn malformed(frame: &Value) -> Vec<Value> {
    let (text, flag) = (&[json!(5), json!(true), json!(["a"]), json!({ "a": 1 })][..], &[json!(5), json!("yes")][..]);
    let keys = [("name", text), ("id", text), ("sender", text), ("activityId", text), ("responseTo", text)];
    let mut malformed = Vec::new();
    for (key, values) in keys.into_iter().chain([("isSecurity", flag)]) {
        for value in values {
            let mut frame = frame.clone();
            frame[key] = value.clone();
            malformed.push(frame);
        }
    }
    malformed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_a_wrong_type_drops_its_frame_and_is_logged() {
    let broker = broker(&[]).await;
    let (mut web, mut users) = (Peer::open(&broker, "web").await, Peer::open(&broker, "users").await);
    let valid = json!({ "name": "create user", "sender": "web", "id": "1", "activityId": "1" });
    let frames = malformed(&valid);
    for (index, frame) in frames.iter().enumerate() {
        web.send(frame.clone()).await;
        let id = index.to_string();
        web.send_message("create user", &id, &id, json!({ "anything": [null] })).await;
        users.expect_message(&id).await;
    }
    let mut registration = json!({ "name": "exocom.register-service", "sender": "web", "id": "r", "activityId": "r" });
    for (key, value) in [("sender", json!(5)), ("sender", json!("")), ("payload", json!({ "receives": "all" }))] {
        let valid = registration[key].clone();
        registration[key] = value;
        web.send(registration.clone()).await;
        registration[key] = valid;
    }
    web.send_message("create user", "last", "last", Value::Null).await;
    users.expect_message("last").await;
    eventually((frames.len() + 3, "log messages"), || async {
        (broker.log().matches(MALFORMED).count() == frames.len() + 3).then_some(())
    })
    .await;
    for words in [
        "\\\"isSecurity\\\" must be true or false",
        "\\\"responseTo\\\" must be a string",
        "the role of the registering service",
    ] {
        assert!(broker.log().contains(words), "{words} in {}", broker.log());
    }
}

/// Returns a frame of `bytes` bytes, from `web` to `users`.
fn long_frame(id: &str, bytes: usize) -> String {
    let frame = |payload: &str| format!(r#"{{"name":"create user","sender":"web","id":"{id}","ignored":"{payload}"}}"#);
    let frame = frame(&"x".repeat(bytes - frame("").len()));
    assert_eq!(frame.len(), bytes);
    frame
}

/// Sends a text as fragments with pings in between. Returns false if the connection has ended.
async fn send_in_pieces(peer: &mut Peer, text: &str, piece: usize) -> bool {
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(piece).collect();
    for (index, bytes) in pieces.iter().enumerate() {
        let data = if index == 0 { Data::Text } else { Data::Continue };
        let frame = Frame::message(Bytes::copy_from_slice(bytes), OpCode::Data(data), index + 1 == pieces.len());
        if peer.socket.send(Packet::Frame(frame)).await.is_err() {
            return false;
        }
        if index + 1 < pieces.len() && peer.socket.send(Packet::Ping(Bytes::new())).await.is_err() {
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_up_to_the_limit_pass_and_one_byte_more_ends_the_connection() {
    let broker = broker(&[
        // The limit of a frame is never below what the largest payload needs.
        ("EXORELAY__HTTP__BODY_BYTES_MAX", "1000"),
        ("EXORELAY__BROKER__FRAME_BYTES_MAX", "100000"),
    ])
    .await;
    let mut users = Peer::open(&broker, "users").await;
    let mut web = Peer::open(&broker, "web").await;
    web.send_text(&long_frame("1", 100_000)).await;
    users.expect_message("1").await;
    assert!(send_in_pieces(&mut web, &long_frame("2", 100_000), 999).await);
    users.expect_message("2").await;
    web.send_text(&long_frame("3", 100_001)).await;
    // A client of the originals survives only a reset, without a close frame.
    assert_eq!(web.end().await, 1006);
    let mut web = Peer::open(&broker, "web").await;
    // The broker may close before the last fragment is sent.
    send_in_pieces(&mut web, &long_frame("4", 100_001), 999).await;
    // A client of the originals survives only a reset, without a close frame.
    assert_eq!(web.end().await, 1006);
    let mut web = Peer::open(&broker, "web").await;
    web.send_message("create user", "5", "5", "after all that").await;
    users.expect_message("5").await;
}
