//! The ends of connections to originals, whose clients survive nothing but a reset. exo 3.9, 8.

use std::io;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as Packet};

use super::faulty_sockets::{malformed_frames, write_raw};
use super::sockets::{Peer, TestBroker, users_and_web};
use super::{DEADLINE, eventually, quick};
use crate::broker::Config;

const REGISTER: &str = "exocom.register-service";

/// Checks that the connection ends with a reset: no close frame, no end of file.
pub(super) async fn check_reset(peer: &mut Peer, why: &str) {
    loop {
        match tokio::time::timeout(DEADLINE, peer.socket.next()).await.expect("an end") {
            Some(Ok(Packet::Text(_) | Packet::Ping(_))) => {}
            Some(Err(SocketError::Io(error))) if error.kind() == io::ErrorKind::ConnectionReset => return,
            other => panic!("{why}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn refused_registrations_end_with_a_reset() {
    let server = TestBroker::new(Config { instances_max: 1, ..quick() }, users_and_web()).await;
    let _web = Peer::connect(&server, "web").await;
    let register = json!({ "name": REGISTER, "sender": "users", "id": "r", "activityId": "r" });
    let mut early = Peer::connect_only(&server, "users").await;
    let mut late = Peer::connect_only(&server, "users").await;
    late.send(register.clone()).await;
    check_reset(&mut late, "full").await;
    server.broker.engine().exchange().drain(&mut Vec::new());
    early.send(register).await;
    check_reset(&mut early, "draining").await;
}

#[tokio::test]
async fn an_upgrade_is_refused_while_the_broker_drains() {
    let server = TestBroker::new(quick(), users_and_web()).await;
    server.broker.engine().exchange().drain(&mut Vec::new());
    let mut stream = TcpStream::connect(server.serving.address()).await.unwrap();
    let request = "GET /services HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
}

#[tokio::test]
async fn faults_of_the_other_end_end_with_a_reset() {
    let server = TestBroker::new(Config { frame_bytes_max: 1_000, ..quick() }, users_and_web()).await;
    for (_, bytes) in malformed_frames() {
        let mut peer = Peer::connect(&server, "users").await;
        write_raw(&mut peer, &bytes).await;
        check_reset(&mut peer, &format!("{bytes:?}")).await;
        eventually(|| server.count() == 0).await;
    }
    let mut large = Peer::connect(&server, "users").await;
    large.send(json!({ "name": "user created", "id": "1", "payload": "x".repeat(1_000) })).await;
    check_reset(&mut large, "a frame over the limit").await;
}

#[tokio::test]
async fn a_silent_service_is_cut_with_a_reset() {
    let server = TestBroker::new(Config { heartbeat_ms: 30, ..quick() }, users_and_web()).await;
    // Registered, and then suspended: it reads nothing, and so answers no ping.
    let mut users = Peer::connect(&server, "users").await;
    eventually(|| server.count() == 0).await;
    check_reset(&mut users, "silent").await;
}

#[tokio::test]
async fn a_stop_resets_every_connection_after_its_last_message_was_read() {
    let config = Config { delivery_timeout_ms: 60_000, heartbeat_ms: 60_000, ..quick() };
    let server = TestBroker::new(config, users_and_web()).await;
    let (mut web, mut users) = (Peer::connect(&server, "web").await, Peer::connect(&server, "users").await);
    let mut mute = Peer::connect_only(&server, "web").await;
    // More than a socket buffer holds, so that a reset would discard most of it.
    let large = "x".repeat(3_000_000);
    web.send(json!({ "name": "create user", "sender": "web", "id": "1", "payload": large })).await;
    users.say("user created", "2", "b").await;
    web.gets(json!({ "id": "2" })).await;
    eventually(|| server.broker.engine().metrics().accepted.get() == 2).await;
    let reading = async {
        users.gets(json!({ "id": "1" })).await;
        check_reset(&mut users, "stopped").await;
        check_reset(&mut web, "stopped").await;
        check_reset(&mut mute, "stopped, never registered").await;
    };
    let (left, ()) = tokio::join!(server.broker.close(Duration::from_secs(5)), reading);
    assert_eq!(left, 0);
}
