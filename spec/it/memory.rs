//! Tests that many round trips leak no memory.
//!
//! The limit on growth tolerates allocator overhead but catches a leak of 63 bytes in each of 100,000 round trips. Tables
//! that fill up by design (seen ids, known conversations) are set small, so that the warm-up fills them.

use std::process::Command;
use std::sync::Arc;

use exorelay::broker::{self, Broker};
use exorelay::{Config, Message, Relay};
use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::eventually::eventually;
use crate::stage::{Process, Raw, get};

const GROWTH_KIB_MAX: u64 = 6 * 1024;
const TABLES: usize = 4_000;

/// Environment variable that marks a test running in a process of its own.
const ALONE: &str = "EXORELAY_SPEC_ALONE";

/// Returns the resident memory of a process.
pub(crate) fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn check_growth(before: u64, process: u32) {
    let after = resident_kib(process);
    let grown = after.saturating_sub(before);
    assert!(grown <= GROWTH_KIB_MAX, "grew by {grown} KiB from {before} KiB, at most {GROWTH_KIB_MAX} KiB are allowed");
}

/// Lets a relay answer `echo` with the same payload.
fn echoes(relay: &Relay) {
    let answer = |message: Message, context: exorelay::Context| async move {
        context.reply("echoed", message.payload::<serde_json::Value>()?).await?;
        Ok(())
    };
    relay.on("echo", answer).unwrap();
}

async fn ask(relay: &Relay, round_trips: usize) {
    let permits = Arc::new(Semaphore::new(64));
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..round_trips {
        let permit = Arc::clone(&permits).acquire_owned().await.unwrap();
        let relay = relay.clone();
        asking.spawn(async move {
            let reply = relay.request("echo", number).await.unwrap();
            assert_eq!(reply.payload::<usize>().unwrap(), number);
            drop(permit);
        });
        while let Some(asked) = asking.try_join_next() {
            asked.unwrap();
        }
    }
    asking.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_round_trips_leak_no_waiter_and_no_memory() {
    if std::env::var_os(ALONE).is_none() {
        // Memory can only be measured in a process that runs nothing else.
        let name = "memory::a_hundred_thousand_round_trips_leak_no_waiter_and_no_memory";
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let ended = alone.args(["--exact", name, "--nocapture"]).env(ALONE, "1").output().unwrap();
        let text = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let broker = Broker::start(broker::Config { settle_ms: 0, conversations_max: TABLES, ..broker::Config::default() });
    let config = Config { seen_messages_max: TABLES, ..Config::default() };
    let (asker, echo) = (
        Relay::builder("asker").broker(&broker).config(config.clone()).connect().await.unwrap(),
        Relay::builder("echo").broker(&broker).config(config).connect().await.unwrap(),
    );
    echoes(&echo);
    ask(&asker, 10_000).await;
    let before = resident_kib(std::process::id());
    ask(&asker, 100_000).await;
    assert_eq!((asker.waiting(), echo.waiting()), (0, 0));
    check_growth(before, std::process::id());
    asker.close().await;
    echo.close().await;
}

/// Sends requests over eight connections that stay open.
async fn ask_over_http(sidecar: &Process, round_trips: usize) {
    let connections = 8;
    let ask = |connection: usize| async move {
        let mut raw = Raw::connect(sidecar.address("api")).await;
        for number in (connection..round_trips).step_by(connections) {
            let body = number.to_string();
            let head =
                format!("POST /request/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
            assert!(raw.send(&(head + &body)).await);
            let answer = raw.answer().await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
        }
    };
    join_all((0..connections).map(ask)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_requests_through_a_sidecar_leak_no_waiter_and_no_memory() {
    let tables = TABLES.to_string();
    let settings =
        [("EXORELAY__RELAY__SEEN_MESSAGES_MAX", &*tables), ("EXORELAY__BROKER__CONVERSATIONS_MAX", &*tables)];
    let at = crate::stage::reserve_address();
    let sidecar = Process::start(&format!("run --role web --bus embedded --broker {at}"), &settings).await;
    let echo = Relay::builder("echo").bus(sidecar.url("broker")).connect().await.unwrap();
    echoes(&echo);
    echo.ready().await;
    ask_over_http(&sidecar, 2 * TABLES).await;
    let before = resident_kib(sidecar.id());
    ask_over_http(&sidecar, 5_000).await;
    let metrics = format!("{}/metrics", sidecar.url("api"));
    for metric in ["exorelay_relay_waiters 0\n", "exorelay_relay_outbox 0\n", "exorelay_relay_dead_letters_total 0\n"] {
        eventually(metric, || async { get(&metrics).await.body.contains(metric).then_some(()) }).await;
    }
    check_growth(before, sidecar.id());
    assert_eq!(get(&format!("{}/dead-letters", sidecar.url("api"))).await.json(), json!([]));
    echo.close().await;
}
