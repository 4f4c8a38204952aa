//! A stream that is deleted and created again while it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use reqwest::Method;

use super::client::{Caller, Streams};
use crate::eventually::eventually;

const TEXT: &str = "text/plain";

/// Returns a line that names the incarnation of the stream.
fn line(incarnation: u64) -> String {
    format!("{incarnation:0>99}\n")
}

/// Returns the incarnations named in a text, which may begin and end within a line.
fn incarnations_in(text: &str) -> Vec<u64> {
    let lines = text.lines().filter(|line| line.len() == 99);
    let mut found: Vec<u64> = lines.filter_map(|line| line.parse().ok()).collect();
    found.dedup();
    found
}

/// Creates the stream with enough content to be read in several pieces.
async fn recreate(caller: &Caller, incarnation: u64) {
    assert_eq!(caller.create("s", TEXT).await, 201);
    for _ in 0..4 {
        assert_eq!(caller.append("s", TEXT, line(incarnation).repeat(700).into_bytes()).await, 204);
    }
}

/// Follows to the end and returns everything received.
async fn follow(caller: &Caller, target: &str) -> String {
    let mut answer = caller.call(Method::GET, target, &[], Vec::new()).await.unwrap();
    let mut text = Vec::new();
    // A broken connection is an end, too.
    while let Ok(Some(chunk)) = answer.chunk().await {
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_one_incarnation_of_a_stream_and_end_when_it_is_deleted() {
    let settings = [
        ("EXORELAY__STREAMS__READ_BYTES_MAX", "70000"),
        ("EXORELAY__STREAMS__EVENT_BYTES_MAX", "70000"),
        ("EXORELAY__STREAMS__LONG_POLL_TIMEOUT_MS", "60000"),
        ("EXORELAY__STREAMS__DURABILITY", "memory"),
    ];
    let streams = Streams::start(&settings).await;
    let caller = streams.caller();
    let (over, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut readers = Vec::new();
    for target in ["s?offset=-1&live=sse", "s?offset=now&live=sse", "s?offset=now&live=long-poll", "s?offset=-1"] {
        for _ in 0..3 {
            let (caller, over, ended) = (caller.clone(), Arc::clone(&over), Arc::clone(&ended));
            readers.push(tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let text = follow(&caller, target).await;
                    let found = incarnations_in(&text.replace("data:", ""));
                    assert!(found.len() <= 1, "{target} gave {found:?}");
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
    }
    for incarnation in 1..60 {
        recreate(&caller, incarnation).await;
        let begun = ended.load(Ordering::Relaxed);
        let (before, _) = caller.read("s", "-1").await.unwrap();
        assert_eq!(incarnations_in(&String::from_utf8(before).unwrap()), [incarnation]);
        assert_eq!(delete(&caller).await, 204);
        eventually("readers that come to an end", || async { (ended.load(Ordering::Relaxed) > begun).then_some(()) })
            .await;
        assert_eq!(caller.read("s", "-1").await.unwrap_err().0, 404);
    }
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        // No reader waits for a deleted stream.
        tokio::time::timeout(std::time::Duration::from_secs(20), reader).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_returns_after_a_deletion_sees_nothing_old() {
    let mut streams = Streams::start(&[]).await;
    let caller = streams.caller();
    recreate(&caller, 1).await;
    let (_, end) = caller.read("s", "-1").await.unwrap();
    let whole = caller.call(Method::GET, "s?offset=-1", &[], Vec::new()).await.unwrap();
    let tag = whole.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(delete(&caller).await, 204);
    recreate(&caller, 2).await;
    streams.kill_and_revive().await;
    let caller = streams.caller();
    assert_eq!(caller.read("s", &end).await.unwrap_err().0, 410, "it learns that this is another stream");
    let again = caller.call(Method::GET, "s?offset=-1", &[("if-none-match", &tag)], Vec::new()).await.unwrap();
    assert_eq!(again.status(), 200, "the tag of another incarnation must not match");
    assert_eq!(incarnations_in(&again.text().await.unwrap()), [2]);
}

async fn delete(caller: &Caller) -> u16 {
    caller.call(Method::DELETE, "s", &[], Vec::new()).await.unwrap().status().as_u16()
}
