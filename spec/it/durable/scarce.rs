//! Too few file descriptors: reported as such, and never as damage.

use std::collections::BTreeSet;
use std::process::Command as Tool;
use std::time::Duration;

use reqwest::Method;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::client::{Caller, client};
use crate::eventually::eventually;
use crate::stage::Process;

const BYTES: &str = "application/octet-stream";

/// Size and number of records: enough for a flush, and long enough for blob files.
const RECORD: usize = 16 * 1024;
const RECORDS: usize = 1200;

fn set_limit(process: &Process, files: usize) {
    let limit = format!("--nofile={files}:");
    let set = Tool::new("prlimit").args(["--pid", &process.id().to_string(), &limit]).status().unwrap();
    assert!(set.success());
}

/// Returns the lowest number that no open file has: with this limit, no further file can be opened.
fn first_free(process: &Process) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap();
    let open: BTreeSet<usize> =
        open.filter_map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().ok()).collect();
    (0..).find(|number| !open.contains(number)).unwrap()
}

fn caller(process: &Process) -> Caller {
    Caller { client: client(), root: format!("{}/v1/stream", process.url("streams")) }
}

async fn status(caller: &Caller, path: &str) -> (u16, String) {
    let answer = caller.client.get(caller.root.replace("/v1/stream", path)).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_without_descriptors_are_answered_503_and_nothing_is_called_damaged() {
    let dir = TempDir::new().unwrap();
    let line = format!("streams --data-dir {} --durability memory --drain-grace 1s", dir.path().display());
    let mut process = Process::start(&line, &[]).await;
    let first = caller(&process);
    assert_eq!(first.create("a", BYTES).await, 201);
    for number in 0..RECORDS {
        assert_eq!(first.append("a", BYTES, vec![number as u8; RECORD]).await, 204);
    }
    let blobs = dir.path().join("keyspaces/2/blobs");
    let flushed = || async { std::fs::read_dir(&blobs).is_ok_and(|mut files| files.next().is_some()).then_some(()) };
    eventually("a flush", flushed).await;
    // Nothing is cached then.
    process.stop().await;
    process.restart().await;
    let caller = caller(&process);
    assert_eq!(status(&caller, "/ready").await.0, 200);
    let scarce = || async {
        set_limit(&process, first_free(&process));
        let answer = caller.call(Method::GET, "a?offset=-1", &[], Vec::new()).await.ok()?;
        (answer.status() == 503).then_some(answer)
    };
    let refused = eventually("a refusal", scarce).await;
    assert!(refused.headers().contains_key("retry-after"), "{refused:?}");
    let problem = refused.text().await.unwrap();
    assert!(
        problem.contains("urn:exorelay:problem:unavailable") && problem.contains("too many open files"),
        "{problem}"
    );
    let red = || async {
        let (status, text) = status(&caller, "/ready").await;
        (status == 503 && text.contains("too many open files")).then_some(())
    };
    eventually("a red /ready", red).await;
    assert_eq!(status(&caller, "/health").await.0, 200);
    set_limit(&process, 1024);
    let (content, _) = caller.read("a", "-1").await.unwrap();
    assert!(content.len() == RECORD * RECORDS, "{} bytes", content.len());
    eventually("a green /ready", || async { (status(&caller, "/ready").await.0 == 200).then_some(()) }).await;
    process.stop().await;
    let log = process.log();
    assert!(!log.contains("damaged at") && log.contains("no data is damaged"), "{log}");
    assert!(log.lines().count() < 20, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_answered_while_idle_connections_hold_the_descriptors() {
    let dir = TempDir::new().unwrap();
    let line = format!("streams --data-dir {} --drain-grace 1s", dir.path().display());
    let mut process = Process::start_with_files(&line, &[], "64:64").await;
    let before = caller(&process);
    assert_eq!(before.create("a", BYTES).await, 201);
    let mut idle = Vec::new();
    for _ in 0..60 {
        idle.push(TcpStream::connect(process.address("streams")).await.unwrap());
    }
    let answered = tokio::time::timeout(Duration::from_secs(30), status(&caller(&process), "/health")).await;
    assert_eq!(answered.expect("an answer").0, 200);
    assert!(process.open_files() < 64);
    // On a new connection, and on one from before, while it lasts.
    for connection in [&caller(&process), &before] {
        let ready = connection.client.get(connection.root.replace("/v1/stream", "/ready")).send().await.unwrap();
        assert_eq!(ready.status(), 503);
        assert!(ready.headers().contains_key("retry-after"), "{ready:?}");
        assert!(ready.text().await.unwrap().contains("too many open files and connections"));
    }
    let others = caller(&process).call(Method::GET, "a?offset=-1", &[], Vec::new()).await.unwrap();
    assert_eq!(others.status(), 503);
    assert!(others.headers().contains_key("retry-after"));
    // A connection from before is served as always, and the store has what it needs.
    assert_eq!(before.append("a", BYTES, vec![1; 100]).await, 204);
    assert_eq!(before.read("a", "-1").await.unwrap().0, [1; 100]);
    drop(idle);
    let served = || async { (caller(&process).read("a", "-1").await.ok()?.0 == [1; 100]).then_some(()) };
    eventually("service as before", served).await;
    eventually("a green /ready", || async { (status(&before, "/ready").await.0 == 200).then_some(()) }).await;
    process.stop().await;
    let scarce = process.log().lines().filter(|line| line.contains("descriptors are scarce")).count();
    assert!((1..=5).contains(&scarce), "{}", process.log());
}
