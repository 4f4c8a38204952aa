//! Frames that are no messages, too long, or in pieces.

use bytes::Bytes;
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message as Packet;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::broker;
use crate::eventually::eventually;
use crate::stage::Peer;

/// What a frame that cannot be understood leaves in the log.
const COMPLAINT: &str = "a frame cannot be understood";

/// Every value that is wrong for the key, in a frame that is right otherwise.
fn spoilt(frame: &Value) -> Vec<Value> {
    let (text, flag) = (&[json!(5), json!(true), json!(["a"]), json!({ "a": 1 })][..], &[json!(5), json!("yes")][..]);
    let keys = [("name", text), ("id", text), ("sender", text), ("activityId", text), ("responseTo", text)];
    let mut spoilt = Vec::new();
    for (key, values) in keys.into_iter().chain([("isSecurity", flag)]) {
        for value in values {
            let mut frame = frame.clone();
            frame[key] = value.clone();
            spoilt.push(frame);
        }
    }
    spoilt
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_type_in_any_field_costs_its_frame_and_is_told_in_the_log() {
    let broker = broker(&[]).await;
    let (mut web, mut users) = (Peer::open(&broker, "web").await, Peer::open(&broker, "users").await);
    let good = json!({ "name": "create user", "sender": "web", "id": "1", "activityId": "1" });
    let frames = spoilt(&good);
    for (place, frame) in frames.iter().enumerate() {
        web.send(frame.clone()).await;
        let id = place.to_string();
        web.say("create user", &id, &id, json!({ "anything": [null] })).await;
        users.gets(&id).await;
    }
    let mut registration = json!({ "name": "exocom.register-service", "sender": "web", "id": "r", "activityId": "r" });
    for (key, value) in [("sender", json!(5)), ("sender", json!("")), ("payload", json!({ "receives": "all" }))] {
        let right = registration[key].clone();
        registration[key] = value;
        web.send(registration.clone()).await;
        registration[key] = right;
    }
    web.say("create user", "last", "last", Value::Null).await;
    users.gets("last").await;
    eventually((frames.len() + 3, "complaints"), || async {
        (broker.log().matches(COMPLAINT).count() == frames.len() + 3).then_some(())
    })
    .await;
    for words in
        ["\\\"isSecurity\\\" must be true or false", "\\\"responseTo\\\" must be a string", "role of the service"]
    {
        assert!(broker.log().contains(words), "{words} in {}", broker.log());
    }
}

/// A frame of `bytes` bytes, from `web` to `users`.
fn long_frame(id: &str, bytes: usize) -> String {
    let frame = |payload: &str| format!(r#"{{"name":"create user","sender":"web","id":"{id}","payload":"{payload}"}}"#);
    let frame = frame(&"x".repeat(bytes - frame("").len()));
    assert_eq!(frame.len(), bytes);
    frame
}

/// Sends a text in pieces, with a ping between any two.
async fn send_in_pieces(peer: &mut Peer, text: &str, piece: usize) -> bool {
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(piece).collect();
    for (place, bytes) in pieces.iter().enumerate() {
        let data = if place == 0 { Data::Text } else { Data::Continue };
        let frame = Frame::message(Bytes::copy_from_slice(bytes), OpCode::Data(data), place + 1 == pieces.len());
        if peer.socket.send(Packet::Frame(frame)).await.is_err() {
            return false;
        }
        if place + 1 < pieces.len() && peer.socket.send(Packet::Ping(Bytes::new())).await.is_err() {
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_exactly_the_bound_pass_whole_or_in_pieces_and_one_byte_more_ends_with_1009() {
    let broker = broker(&[("EXORELAY__BROKER__FRAME_BYTES_MAX", "100000")]).await;
    let mut users = Peer::open(&broker, "users").await;
    let mut web = Peer::open(&broker, "web").await;
    web.send_text(&long_frame("1", 100_000)).await;
    users.gets("1").await;
    assert!(send_in_pieces(&mut web, &long_frame("2", 100_000), 999).await);
    users.gets("2").await;
    web.send_text(&long_frame("3", 100_001)).await;
    assert_eq!(web.end().await, 1009);
    let mut web = Peer::open(&broker, "web").await;
    // It may be told before the last piece is out.
    send_in_pieces(&mut web, &long_frame("4", 100_001), 999).await;
    assert_eq!(web.end().await, 1009);
    let mut web = Peer::open(&broker, "web").await;
    web.say("create user", "5", "5", "after all that").await;
    users.gets("5").await;
}
