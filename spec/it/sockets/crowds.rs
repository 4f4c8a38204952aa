//! Tests with many sockets, and with sockets that send too much or read too little.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use regex::Regex;
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::broker;
use crate::eventually::eventually;
use crate::memory::resident_kib;
use crate::stage::{Peer, Process, Raw, declare, instances, raise_file_limit, wait_until_registered};

const IDLE: usize = 5_000;

/// Maximum memory of an idle socket, in bytes. The actual use is a third of it: read buffer, task, and roster entry.
const IDLE_BYTES_MAX: usize = 24 * 1024;

/// Opens idle sockets; every second one registers.
async fn idle(broker: &Process, count: usize) -> Vec<Raw> {
    let handshake = "GET /services HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let open = |number: usize| async move {
        let mut raw = Raw::connect(broker.address("broker")).await;
        assert!(raw.send(handshake).await);
        let answer = raw.answer().await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        if number.is_multiple_of(2) {
            let frame = json!({ "name": "exocom.register-service", "sender": "idle", "id": "r", "activityId": "r" });
            let (text, mask) = (frame.to_string(), [0; 4]);
            let head = [0x81, 0x80 | u8::try_from(text.len()).unwrap()];
            assert!(text.len() < 126 && raw.send_bytes(&[&head, &mask[..], text.as_bytes()].concat()).await);
        }
        raw
    };
    let mut sockets = Vec::new();
    for numbers in (0..count).collect::<Vec<_>>().chunks(100) {
        sockets.extend(join_all(numbers.iter().map(|number| open(*number))).await);
    }
    sockets
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_idle_sockets_use_little_memory_and_do_not_delay_others() {
    raise_file_limit();
    let broker = broker(&[("EXORELAY__BROKER__HEARTBEAT_MS", "600000")]).await;
    let files = broker.open_files();
    let (mut web, mut users) = (Peer::open(&broker, "web").await, Peer::open(&broker, "users").await);
    drop(idle(&broker, 100).await);
    eventually("the end of the first sockets", || async { (broker.open_files() <= files + 2).then_some(()) }).await;
    let before = resident_kib(broker.id());
    let sockets = idle(&broker, IDLE).await;
    wait_until_registered(&broker, &[("idle", IDLE / 2)]).await;
    let grown = resident_kib(broker.id()).saturating_sub(before);
    let each = usize::try_from(grown).unwrap() * 1024 / IDLE;
    println!("an idle socket uses {each} bytes");
    assert!(each <= IDLE_BYTES_MAX, "an idle socket uses {each} bytes, at most {IDLE_BYTES_MAX} are allowed");
    for id in ["1", "2", "3"] {
        web.send_message("create user", id, id, id).await;
        users.expect_message(id).await;
        users.send_message("user created", &format!("re: {id}"), id, id).await;
        web.expect_message(&format!("re: {id}")).await;
    }
    drop(sockets);
    eventually("the end of all sockets", || async { (broker.open_files() <= files + 2).then_some(()) }).await;
    wait_until_registered(&broker, &[("idle", 0), ("web", 1), ("users", 1)]).await;
}

const REGISTRATIONS: usize = 10_000;

/// Maximum memory growth by the registrations: instances expected back, and log lines not written yet.
const REGISTRATIONS_KIB_MAX: u64 = 24 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_registrations_of_one_socket_do_not_delay_others_and_leave_one_instance() {
    let broker = broker(&[("RUST_LOG", "warn")]).await;
    let (mut web, mut users) = (Peer::open(&broker, "web").await, Peer::open(&broker, "users").await);
    let before = resident_kib(broker.id());
    let mut restless = Peer::connect(broker.address("broker"), "restless").await;
    let registering = tokio::spawn(async move {
        for number in 0..REGISTRATIONS {
            // Two alternating roles, and a new one each time.
            let role = match number % 3 {
                0 => "log".to_owned(),
                1 => "mail".to_owned(),
                _ => format!("role {number}"),
            };
            let payload = json!({ "clientName": role, "receives": ["a", "b", role] });
            let name = "exocom.register-service";
            restless
                .send(json!({ "name": name, "sender": role, "id": "r", "activityId": "r", "payload": payload }))
                .await;
        }
        restless.register("at last").await;
        restless
    });
    let mut served = 0;
    while !registering.is_finished() || served == 0 {
        let id = served.to_string();
        web.send_message("create user", &id, &id, served).await;
        users.expect_message(&id).await;
        users.send_message("user created", &id, &id, served).await;
        web.expect_message(&id).await;
        served += 1;
    }
    let restless = registering.await.unwrap();
    wait_until_registered(&broker, &[("at last", 1), ("log", 0), ("mail", 0), ("web", 1), ("users", 1)]).await;
    let grown = resident_kib(broker.id()).saturating_sub(before);
    assert!(grown <= REGISTRATIONS_KIB_MAX, "grew by {grown} KiB while {served} were served");
    drop(restless);
    wait_until_registered(&broker, &[("at last", 0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_registered_once_under_its_last_role_and_may_send_without_one() {
    let broker = Process::start("broker", &[]).await;
    let mut roles = super::web_and_users();
    roles["log"] = json!({ "receives": ["user created"] });
    declare(&broker, roles).await;
    let mut twice = Peer::open(&broker, "users").await;
    twice.register("users").await;
    let mut web = Peer::open(&broker, "web").await;
    // The sender in the frame counts, not the role of the connection.
    let mut stranger = Peer::connect(broker.address("broker"), "web").await;
    stranger.send_message("create user", "1", "1", 1).await;
    twice.expect_message("1").await;
    assert_eq!(instances(&broker, "users").await.len(), 1);
    twice.register("log").await;
    wait_until_registered(&broker, &[("users", 0), ("log", 1)]).await;
    let mut users = Peer::open(&broker, "users").await;
    web.send_message("create user", "2", "2", 2).await;
    users.expect_message("2").await;
    users.send_message("user created", "3", "2", 3).await;
    twice.expect_message("3").await;
    web.expect_message("3").await;
    drop(twice);
    wait_until_registered(&broker, &[("log", 0), ("users", 1)]).await;
}

const LARGE: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn messages_for_a_service_that_stops_reading_go_to_another_of_its_role() {
    let settings = [("EXORELAY__BROKER__DELIVERY_TIMEOUT_MS", "2000"), ("EXORELAY__BROKER__HEARTBEAT_MS", "1000")];
    let broker = broker(&settings).await;
    let mut deaf = Peer::open(&broker, "users").await;
    let (mut web, mut users) = (Peer::open(&broker, "web").await, Peer::open(&broker, "users").await);
    let reading = tokio::spawn(async move {
        let mut ids = BTreeSet::new();
        while let Some(message) = users.next().await {
            ids.insert(message["id"].as_str().unwrap().to_owned());
            if ids.contains("last") {
                break;
            }
        }
        ids
    });
    // More than the socket buffers hold.
    let large = "x".repeat(100_000);
    for number in 0..LARGE {
        web.send_message("create user", &number.to_string(), &number.to_string(), large.as_str()).await;
    }
    wait_until_registered(&broker, &[("users", 1)]).await;
    web.send_message("create user", "last", "last", 1).await;
    let mut ids = reading.await.unwrap();
    let others = ids.len();
    // It keeps only what was written to its connection. That is read without the library, which would answer pings on the
    // ended connection, and lose the data.
    let mut written = Vec::new();
    drop(deaf.socket.get_mut().read_to_end(&mut written).await);
    let id = Regex::new(r#""id":"(\d+)""#).unwrap();
    ids.extend(id.captures_iter(&String::from_utf8_lossy(&written)).map(|found| found[1].to_owned()));
    assert_eq!(ids.len(), LARGE + 1);
    assert!(others > LARGE / 2, "the other service has {others} of {LARGE}");
    assert!(broker.log().contains("a service is disconnected"), "{}", broker.log());
}
