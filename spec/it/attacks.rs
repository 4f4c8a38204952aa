//! Tests that a few cheap requests cannot take gigabytes: each attack ends in refusals, and the process stays small.

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::post;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::{Duration, timeout};

use crate::stage::{Peer, Process, Raw, Service, get, raise_file_limit};

/// Resident memory that no attack reaches.
const CEILING_KIB: u64 = 200 * 1024;

/// Timeout for an expected answer.
const PATIENCE: Duration = Duration::from_secs(60);

const MB: usize = 1_000_000;

/// Checks the largest resident memory that the process ever had.
fn check_peak(process: &Process) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    assert!(peak <= CEILING_KIB, "{peak} KiB, at most {CEILING_KIB} KiB are expected");
}

/// A JSON string of this size.
fn text(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

async fn call(method: &str, url: &str, headers: &[(&str, &str)], body: String) -> (u16, Option<String>, String) {
    let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let mut request =
        client.request(method.parse().unwrap(), url).header("content-type", "application/json").body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), retry_after, answer.text().await.unwrap())
}

/// Makes a call that may be refused for want of memory. Returns true if it was accepted with this status.
async fn is_accepted(expected: u16, url: &str, headers: &[(&str, &str)], body: String) -> bool {
    let (status, retry_after, answer) = call("POST", url, headers, body).await;
    assert!(status == expected || (status == 503 && retry_after.is_some()), "{status} {retry_after:?} {answer:.300}");
    status == expected
}

/// Sends the beginning of a body on each of many connections. Returns the number of those that were refused with 503; the
/// others time out.
async fn refused_bodies(address: &str, call: &str, connections: usize, sent: usize) -> usize {
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        let head = format!("{call} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n", sent + 1_000);
        let address = address.to_owned();
        clients.spawn(async move {
            let mut raw = Raw::connect(&address).await;
            raw.send(&head).await;
            raw.send(&" ".repeat(sent)).await;
            timeout(PATIENCE, raw.answer()).await.expect("an answer")
        });
    }
    let mut refused = 0;
    // One that timed out while it was still sending may be reset.
    for answer in clients.join_all().await.into_iter().flatten() {
        let is_refused = answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1\r\n");
        assert!(is_refused || answer.starts_with("HTTP/1.1 408"), "{answer}");
        refused += usize::from(is_refused);
    }
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_bodies_on_many_connections() {
    raise_file_limit();
    let sidecar = Process::start("run --role web --receives hello --bus embedded --edge 127.0.0.1:0", &[]).await;
    let address = sidecar.address("api");
    assert!(refused_bodies(address, "POST /send/hello", 500, 500_000).await > 100);
    check_peak(&sidecar);
    // The memory is free again.
    assert!(is_accepted(202, &format!("http://{address}/send/hello"), &[], text(900_000)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_to_nowhere_are_not_read() {
    let settings = [("EXORELAY__HTTP__BODIES_BYTES_MAX", "1200000")];
    let sidecar = Process::start("run --role web --receives hello --bus embedded", &settings).await;
    for call in ["POST /nowhere", "PUT /send/hello", "POST /reply/hello", "POST /send/nobody", "POST /request/nobody"] {
        let mut open = Vec::new();
        for _ in 0..8 {
            let mut raw = Raw::connect(sidecar.address("api")).await;
            let host = sidecar.address("api");
            raw.send(&format!("{call} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1000000\r\n\r\n")).await;
            raw.send(&" ".repeat(900_000)).await;
            let answer = timeout(PATIENCE, raw.answer()).await.unwrap().unwrap();
            assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
            open.push(raw);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_heads() {
    let sidecar = Process::start("run --role web --bus embedded", &[]).await;
    for headers in [format!("x: {}\r\n", "y".repeat(100_000)), "x: y\r\n".repeat(101)] {
        for listener in ["api", "listen"] {
            let mut raw = Raw::connect(sidecar.address(listener)).await;
            let host = sidecar.address(listener);
            raw.send(&format!("GET /health HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n")).await;
            let answer = timeout(PATIENCE, raw.answer()).await.unwrap().unwrap();
            assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        }
    }
}

/// Opens a WebSocket without registering.
async fn unregistered(broker: &Process) -> Raw {
    let host = broker.address("broker");
    let mut raw = Raw::connect(host).await;
    raw.send(&format!(
        "GET /services HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ))
    .await;
    let answer = timeout(PATIENCE, raw.answer()).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    raw
}

/// The beginning of a text frame of 16 MiB.
fn partial_frame(sent: usize) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | 127];
    frame.extend_from_slice(&(16_u64 * 1024 * 1024).to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.resize(frame.len() + sent, b' ');
    frame
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_frames_on_unregistered_sockets() {
    raise_file_limit();
    let broker = Process::start("broker", &[]).await;
    let mut sockets = JoinSet::new();
    for _ in 0..200 {
        let mut socket = unregistered(&broker).await;
        sockets.spawn(async move {
            socket.send_bytes(&partial_frame(4 * MB)).await;
            timeout(PATIENCE, socket.rest()).await.expect("the end of the connection");
        });
    }
    sockets.join_all().await;
    check_peak(&broker);
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_frames_on_registered_sockets() {
    raise_file_limit();
    let broker = Process::start("broker", &[]).await;
    let mut peers = Vec::new();
    for number in 0..60 {
        let mut peer = Peer::open(&broker, &format!("peer-{number}")).await;
        // A socket that is closed meanwhile takes no more.
        drop(timeout(Duration::from_secs(5), peer.socket.get_mut().write_all(&partial_frame(8 * MB))).await);
        peers.push(peer);
    }
    check_peak(&broker);
    let services = get(&format!("{}/services", broker.url("broker"))).await.json();
    let left = services["services"].as_array().unwrap().len();
    assert!((5..15).contains(&left), "{left} peers are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_never_register() {
    let broker = Process::start("broker", &[("EXORELAY__BROKER__REGISTER_TIMEOUT_MS", "300")]).await;
    let mut silent = unregistered(&broker).await;
    let mut peer = Peer::open(&broker, "users").await;
    timeout(PATIENCE, silent.rest()).await.expect("the end of the connection");
    peer.send_message("hello", "1", "1", 1).await;
    assert_eq!(get(&format!("{}/services", broker.url("broker"))).await.json()["services"][0]["role"], "users");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_registrations_and_many_of_them() {
    // Long enough for all of them to be there at the same time.
    let broker = Process::start("broker", &[("EXORELAY__BROKER__LEASE_MS", "600000")]).await;
    let register = async |number: usize, names: usize| {
        let receives: Vec<String> = (0..names).map(|name| format!("{number}-{name}-{}", "x".repeat(1_000))).collect();
        let body = json!({ "instance": format!("i{number}"), "port": 1, "receives": receives });
        call("PUT", &format!("{}/services/role-{number}", broker.url("broker")), &[], body.to_string()).await
    };
    let (status, _, answer) = register(0, 1_000).await;
    assert!(status == 413 && answer.contains("131072 bytes"), "{status} {answer:.300}");
    let mut accepted = 0;
    for number in 0..400 {
        let (status, retry_after, answer) = register(number, 120).await;
        match status {
            200 => accepted += 1,
            _ => assert!(
                status == 503 && retry_after.is_some() && answer.contains("broker.registrations_bytes_max"),
                "{status} {answer:.300}"
            ),
        }
    }
    assert!((200..300).contains(&accepted), "{accepted} registrations were accepted");
    check_peak(&broker);
}

/// Sends 100 messages of 1 MB each. Returns the number of those that were accepted.
async fn accepted(expected: u16, url: &str, envelope: fn(usize) -> String) -> usize {
    let mut accepted = 0;
    for number in 0..100 {
        accepted += usize::from(is_accepted(expected, url, &[], envelope(number)).await);
    }
    accepted
}

fn payload(_number: usize) -> String {
    text(MB)
}

fn delivery(number: usize) -> String {
    format!("{{\"id\":\"{number}\",\"payload\":{}}}", text(MB))
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_wait_for_the_bus() {
    let sidecar = Process::start("run --role web --bus http://127.0.0.1:1", &[]).await;
    let accepted_by_bytes = accepted(202, &format!("{}/send/hello", sidecar.url("api")), payload).await;
    assert!((30..=33).contains(&accepted_by_bytes), "{accepted_by_bytes}");
    check_peak(&sidecar);
    let settings = [("EXORELAY__MEMORY__QUEUES_BYTES_MAX", "8000000")];
    let narrow = Process::start("run --role web --bus http://127.0.0.1:1", &settings).await;
    assert_eq!(accepted(202, &format!("{}/send/hello", narrow.url("api")), payload).await, 7);
    let (_, _, answer) = call("POST", &format!("{}/send/hello", narrow.url("api")), &[], text(MB)).await;
    assert!(answer.contains("memory.queues_bytes_max"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_nobody_reads() {
    let sidecar = Process::start("run --role web --receives hello --bus embedded", &[]).await;
    let delivered = accepted(200, &format!("{}/run/hello", sidecar.url("listen")), delivery).await;
    assert!((30..=33).contains(&delivered), "{delivered}");
    check_peak(&sidecar);
}

/// A service that refuses every message.
async fn refusing_service() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let refuse = post(async |_: Bytes| StatusCode::BAD_REQUEST);
    let router = Router::new().route("/run/{*message}", refuse).layer(DefaultBodyLimit::disable());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_and_their_list() {
    let service = refusing_service().await;
    let line = format!("run --role web --receives hello --bus embedded --forward {service}");
    let sidecar = Process::start(&line, &[]).await;
    assert!(accepted(200, &format!("{}/run/hello", sidecar.url("listen")), delivery).await > 50);
    let (mut after, mut letters) = (0, 0);
    loop {
        let page = get(&format!("{}/dead-letters?limit=10&after={after}", sidecar.url("api"))).await;
        assert!(page.body.len() < 2 * MB, "a page of {} bytes", page.body.len());
        let Some(last) = page.json().as_array().unwrap().last().map(|letter| letter["id"].as_u64().unwrap()) else {
            break;
        };
        letters += page.json().as_array().map_or(0, Vec::len);
        after = last;
    }
    assert!((20..=33).contains(&letters), "{letters} dead letters are left");
    check_peak(&sidecar);
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_are_remembered_under_idempotency_keys() {
    let service = Service::start("127.0.0.1:0");
    let line = format!("run --role web --receives ask --bus embedded --forward {}", service.url());
    let sidecar = Process::start(&line, &[]).await;
    let url = format!("{}/request/ask?timeout=20s", sidecar.url("api"));
    let mut answered = 0;
    for number in 0..100 {
        let key = number.to_string();
        answered += usize::from(is_accepted(200, &url, &[("idempotency-key", &key)], text(900_000)).await);
    }
    assert!((30..=38).contains(&answered), "{answered}");
    check_peak(&sidecar);
    // Others are served, and what is remembered is.
    assert!(is_accepted(200, &url, &[], text(900_000)).await);
    let (status, _, again) = call("POST", &url, &[("idempotency-key", "0")], text(900_000)).await;
    assert_eq!((status, again.len()), (200, 900_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_for_services_that_are_gone() {
    let broker = Process::start("broker", &[]).await;
    let body = json!({ "instance": "gone", "port": 1, "receives": ["hello"] }).to_string();
    let (status, _, answer) = call("PUT", &format!("{}/services/gone", broker.url("broker")), &[], body).await;
    assert_eq!(status, 200, "{answer}");
    let mut taken = 0;
    for number in 0..200 {
        taken +=
            usize::from(is_accepted(200, &format!("{}/send/hello", broker.url("broker")), &[], delivery(number)).await);
    }
    // Those whose time is over make space for others.
    assert!(taken >= 20, "{taken}");
    check_peak(&broker);
    let undelivered: Value = get(&format!("{}/undelivered", broker.url("broker"))).await.json();
    assert!(undelivered["undelivered"].is_array());
}
