//! Tests that misbehaving clients do not affect others.
//!
//! Clock jumps are not simulated. Every deadline uses `Instant`, which does not jump, in rules that get the time as an
//! argument or in tokio's timers. `deadlines_do_not_use_the_wall_clock` keeps it so.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use exorelay::app::Builder;
use exorelay::broker::Broker;
use exorelay::{Config, Context, Message, Relay};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::eventually::{eventually, pause};
use crate::stage::{Process, Raw, Transport, get, post, raise_file_limit};

/// Timeout for an expected answer or disconnect.
const PATIENCE: Duration = Duration::from_secs(60);

const SILENT: usize = 500;

async fn sidecar(settings: &[(&str, &str)]) -> Process {
    Process::start("run --role web --receives hello --bus embedded", settings).await
}

/// Checks that calls of the service and of the broker are answered.
async fn check_others_are_served(sidecar: &Process) {
    let sent = post(&format!("{}/send/hello", sidecar.url("api")), &json!(1)).await;
    assert_eq!(sent.status, 202, "{sent:?}");
    let delivered = post(&format!("{}/run/hello", sidecar.url("listen")), &json!({ "id": sent.json()["id"] })).await;
    assert_eq!(delivered.status, 200, "{delivered:?}");
}

/// Checks that an answer is complete and contains this problem.
fn problem(answer: Option<String>, status: &str, kind: &str) -> String {
    let answer = answer.expect("a complete answer");
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["type"], format!("urn:exorelay:problem:{kind}"));
    answer
}

async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("timed out waiting for {what}"))
}

/// Waits until the process has at most `before` open files.
async fn wait_for_open_files(sidecar: &Process, before: usize) {
    eventually(("open files, before", before), || async { (sidecar.open_files() <= before).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_silent_connections_are_closed_and_do_not_delay_others() {
    raise_file_limit();
    let sidecar = sidecar(&[("EXORELAY__HTTP__HEADER_TIMEOUT_MS", "3000")]).await;
    let before = sidecar.open_files();
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(Raw::connect(sidecar.address("listen")).await);
        silent.push(Raw::connect(sidecar.address("api")).await);
    }
    for _ in 0..10 {
        check_others_are_served(&sidecar).await;
    }
    for mut connection in silent {
        assert_eq!(within("the end of a silent connection", connection.rest()).await, "");
    }
    wait_for_open_files(&sidecar, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_or_slow_header_ends_its_connection() {
    let sidecar = sidecar(&[("EXORELAY__HTTP__HEADER_TIMEOUT_MS", "700")]).await;
    let before = sidecar.open_files();
    let mut incomplete = Raw::connect(sidecar.address("api")).await;
    incomplete.send("POST /send/hello HTTP/1.1\r\nhost: localhost\r\ncontent-le").await;
    assert_eq!(within("the end of an incomplete header", incomplete.rest()).await, "");
    let mut slow = Raw::connect(sidecar.address("listen")).await;
    within("the end of a slow header", async {
        slow.send("POST /run/hello HTTP/1.1\r\nx: ").await;
        while slow.send("y").await {
            pause(20).await;
        }
    })
    .await;
    check_others_are_served(&sidecar).await;
    wait_for_open_files(&sidecar, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_or_slow_body_is_answered_408() {
    let sidecar = sidecar(&[("EXORELAY__HTTP__BODY_TIMEOUT_MS", "700")]).await;
    let before = sidecar.open_files();
    for (listener, path) in [("api", "/send/hello"), ("listen", "/run/hello")] {
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n{{\"id\":");
        let mut incomplete = Raw::connect(sidecar.address(listener)).await;
        incomplete.send(&head).await;
        problem(within("408", incomplete.answer()).await, "408", "body-timeout");
        assert_eq!(within("the end of an incomplete body", incomplete.rest()).await, "");
        let mut slow = Raw::connect(sidecar.address(listener)).await;
        slow.send(&head).await;
        within("the end of a slow body", async {
            while slow.send(" ").await {
                pause(20).await;
            }
        })
        .await;
    }
    check_others_are_served(&sidecar).await;
    wait_for_open_files(&sidecar, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_are_refused_and_operators_are_not() {
    let sidecar = sidecar(&[("EXORELAY__HTTP__CONNECTIONS_MAX", "4")]).await;
    let before = sidecar.open_files();
    let ask = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut served = Vec::new();
    for _ in 0..4 {
        let mut connection = Raw::connect(sidecar.address("api")).await;
        connection.send(ask).await;
        assert!(within("an answer", connection.answer()).await.is_some());
        served.push(connection);
    }
    for path in ["/health", "/ready", "/metrics"] {
        let answer = get(&format!("{}{path}", sidecar.url("api"))).await;
        assert_eq!(answer.status, 200, "{path} {answer:?}");
    }
    // Silent ones do not take the share of operators.
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(Raw::connect(sidecar.address("api")).await);
    }
    let mut refused = Raw::connect(sidecar.address("api")).await;
    refused.send("GET /messages HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let answer = problem(within("503", refused.answer()).await, "503", "unavailable");
    assert!(answer.contains("retry-after: 1") && answer.contains("http.connections_max"), "{answer}");
    assert_eq!(within("the end", refused.rest()).await, "");
    assert_eq!(get(&format!("{}/health", sidecar.url("api"))).await.status, 200);
    // The other listener has a limit of its own.
    assert_eq!(get(&format!("{}/status", sidecar.url("listen"))).await.status, 200);
    drop((served, silent));
    eventually("a place for other requests", || async {
        let sent = post(&format!("{}/send/hello", sidecar.url("api")), &json!(1)).await;
        (sent.status == 202).then_some(())
    })
    .await;
    wait_for_open_files(&sidecar, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_answered_413_in_full() {
    let sidecar = sidecar(&[("EXORELAY__HTTP__BODY_BYTES_MAX", "1000")]).await;
    let chunk = format!("400\r\n{}\r\n", " ".repeat(0x400));
    let chunked = "POST /send/hello HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut raw = Raw::connect(sidecar.address("api")).await;
    raw.send(chunked).await;
    for _ in 0..1000 {
        assert!(raw.send(&chunk).await, "the server keeps reading, so that its answer arrives");
    }
    raw.send("0\r\n\r\n").await;
    problem(within("413", raw.answer()).await, "413", "body-too-large");
    // The connection can still be used.
    raw.send(&format!("{chunked}2\r\n42\r\n0\r\n\r\n")).await;
    let answer = within("202", raw.answer()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let mut known = Raw::connect(sidecar.address("api")).await;
    known.send("POST /send/hello HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1001\r\n\r\n").await;
    known.send(&" ".repeat(1001)).await;
    problem(within("413", known.answer()).await, "413", "body-too-large");
}

#[tokio::test(flavor = "multi_thread")]
async fn expect_100_continue_is_answered_before_the_body() {
    let sidecar = sidecar(&[("EXORELAY__HTTP__BODY_BYTES_MAX", "1000")]).await;
    let head = |length: &str| {
        format!("POST /send/hello HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n{length}\r\n\r\n")
    };
    let mut raw = Raw::connect(sidecar.address("api")).await;
    raw.send(&head("content-length: 1001")).await;
    problem(within("413", raw.answer()).await, "413", "body-too-large");
    let mut raw = Raw::connect(sidecar.address("api")).await;
    raw.send(&head("content-length: 2")).await;
    assert!(within("100", raw.answer()).await.unwrap().starts_with("HTTP/1.1 100"));
    raw.send("42").await;
    assert!(within("202", raw.answer()).await.unwrap().starts_with("HTTP/1.1 202"));
    let mut raw = Raw::connect(sidecar.address("api")).await;
    raw.send(&head("transfer-encoding: chunked")).await;
    assert!(within("100", raw.answer()).await.unwrap().starts_with("HTTP/1.1 100"));
    for _ in 0..100 {
        raw.send(&format!("400\r\n{}\r\n", " ".repeat(0x400))).await;
    }
    raw.send("0\r\n\r\n").await;
    problem(within("413", raw.answer()).await, "413", "body-too-large");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_next_request_does_not_delay_an_answer() {
    let sidecar = sidecar(&[]).await;
    let mut raw = Raw::connect(sidecar.address("api")).await;
    raw.send("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\nGET /heal").await;
    assert!(within("200", raw.answer()).await.unwrap().starts_with("HTTP/1.1 200"));
    raw.send("th HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(within("200", raw.answer()).await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_after_a_request_is_answered_400_and_leaves_nothing_behind() {
    let sidecar = sidecar(&[]).await;
    let before = sidecar.open_files();
    let good = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for garbage in
        ["\u{1}\u{2}garbage\r\n\r\n", "GET\r\n\r\n", "POST /send/hello HTTP/1.1\r\ncontent-length: x\r\n\r\n"]
    {
        let mut raw = Raw::connect(sidecar.address("api")).await;
        raw.send(&format!("{good}{good}{garbage}{good}")).await;
        for _ in 0..2 {
            assert!(within("200", raw.answer()).await.unwrap().starts_with("HTTP/1.1 200"), "{garbage:?}");
        }
        assert!(within("400", raw.answer()).await.unwrap().starts_with("HTTP/1.1 400"), "{garbage:?}");
        assert_eq!(within("the end", raw.rest()).await, "", "{garbage:?}");
    }
    check_others_are_served(&sidecar).await;
    wait_for_open_files(&sidecar, before).await;
    assert_eq!(get(&format!("{}/dead-letters", sidecar.url("api"))).await.json(), json!([]));
}

/// Files that may read the wall clock, and the reason.
const WALL_CLOCK: [(&str, &str); 21] = [
    ("src/http/access/credentials/jwt.rs", "`exp` and `nbf` of a JWT are times of the wall clock"),
    ("src/metrics/process.rs", "for display: the time at which the process started"),
    ("src/app/telemetry.rs", "for display: the time of a start error"),
    ("src/broker/engine.rs", "for display: the time a message was given up"),
    ("src/broker/follower.rs", "for display: as above"),
    ("src/broker/traffic.rs", "for display: the time a message passed"),
    ("src/broker/rules/record.rs", "for display: as above"),
    ("src/broker/rules/activity.rs", "for display: as above"),
    ("src/broker/session.rs", "the timestamp that frames of the WebSocket era carry"),
    ("src/broker/wire/frame.rs", "the timestamp that frames of the WebSocket era carry"),
    ("src/broker/wire/frame", "the timestamp that frames of the WebSocket era carry"),
    ("src/relay/dead_letters.rs", "for display: the time a message became a dead letter"),
    ("src/relay/rules/dead_letters.rs", "for display: as above"),
    ("src/cli/tail.rs", "for display: the time a message arrived"),
    ("src/testing/service.rs", "the timestamp that frames of the WebSocket era carry"),
    ("src/streams/clock.rs", "Stream-TTL and Stream-Expires-At outlive the process"),
    ("src/streams/subscriptions/wire/view.rs", "for display: the time a subscription was created"),
    ("src/cli/stream/ls.rs", "for display: the time a stream was created"),
    ("src/cli/stream/server.rs", "a Retry-After that is a date"),
    ("src/webhook", "the timestamp in a signature of Standard Webhooks"),
    ("src/http/call/client.rs", "a Retry-After that is a date"),
];

#[test]
fn deadlines_do_not_use_the_wall_clock() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let file = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
            let allowed = WALL_CLOCK.iter().any(|(allowed, _)| file.starts_with(allowed));
            let text = std::fs::read_to_string(&path).unwrap();
            let clock = text.contains("SystemTime") || text.contains("UNIX_EPOCH");
            assert!(
                allowed || !clock,
                "{} reads the wall clock: use Instant, or add it to WALL_CLOCK with the reason",
                file.display()
            );
            read += 1;
        }
    }
    assert!(read > 100, "only {read} files were found");
}

/// Checks that handlers get their answers while the inbox behind them is full.
async fn check_answers_pass(web: Builder, users: Builder) {
    let users = users.connect().await.unwrap();
    let answer = |_: Message, context: Context| async move {
        context.reply("answer", ()).await?;
        Ok(())
    };
    users.on("ask", answer).unwrap();
    let narrow = Config { handlers_concurrent_max: 1, inbox_messages_max: 1, ..Config::default() };
    let web = web.config(narrow).connect().await.unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    let count = answered.clone();
    let work = move |_: Message, context: Context| {
        let count = count.clone();
        async move {
            context.relay().request("ask", ()).timeout(PATIENCE).await?;
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    };
    web.on("work", work).unwrap();
    tokio::join!(users.ready(), web.ready());
    for number in 0..6 {
        users.send("work", number).await.unwrap();
    }
    eventually("six answers", || async { (answered.load(Ordering::Relaxed) == 6).then_some(()) }).await;
    web.close().await;
    users.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_for_handlers_overtake_messages_when_the_inbox_is_full() {
    let own = Broker::start(exorelay::broker::Config::default());
    check_answers_pass(Relay::builder("web").broker(&own), Relay::builder("users").broker(&own)).await;
    let broker = Process::start("broker", &[]).await;
    for transport in [Transport::Http, Transport::WebSocket] {
        let builder = |role: &str| Relay::builder(role).bus(broker.bus(transport));
        check_answers_pass(builder("web"), builder("users")).await;
    }
}
