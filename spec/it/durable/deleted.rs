//! A stream is deleted, and created again, under everybody who reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use reqwest::Method;

use super::client::{Caller, Streams};
use crate::eventually::eventually;

const TEXT: &str = "text/plain";

/// Every line of a life tells which one it is.
fn line(life: u64) -> String {
    format!("{life:0>99}\n")
}

/// The lives of which there are lines in a text that may begin and end anywhere.
fn lives_in(text: &str) -> Vec<u64> {
    let lines = text.lines().filter(|line| line.len() == 99);
    let mut lives: Vec<u64> = lines.filter_map(|line| line.parse().ok()).collect();
    lives.dedup();
    lives
}

/// A life of the stream, long enough that it is read in several pieces from pages and the tail.
async fn live(caller: &Caller, life: u64) {
    assert_eq!(caller.create("s", TEXT).await, 201);
    for _ in 0..4 {
        assert_eq!(caller.append("s", TEXT, line(life).repeat(700).into_bytes()).await, 204);
    }
}

/// Follows to the end, and gives everything that came.
async fn follow(caller: &Caller, target: &str) -> String {
    let mut answer = caller.call(Method::GET, target, &[], Vec::new()).await.unwrap();
    let mut text = Vec::new();
    // A connection that breaks is an end like any other.
    while let Ok(Some(chunk)) = answer.chunk().await {
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_get_one_life_of_a_stream_and_an_end_when_it_is_deleted() {
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
                    let lives = lives_in(&text.replace("data:", ""));
                    assert!(lives.len() <= 1, "{target} gave {lives:?}");
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
    }
    for life in 1..60 {
        live(&caller, life).await;
        let begun = ended.load(Ordering::Relaxed);
        let (before, _) = caller.read("s", "-1").await.unwrap();
        assert_eq!(lives_in(&String::from_utf8(before).unwrap()), [life]);
        assert_eq!(delete(&caller).await, 204);
        eventually("readers that come to an end", || async { (ended.load(Ordering::Relaxed) > begun).then_some(()) })
            .await;
        assert_eq!(caller.read("s", "-1").await.unwrap_err().0, 404);
    }
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        // None is left that waits for a stream that is gone.
        tokio::time::timeout(std::time::Duration::from_secs(20), reader).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_comes_back_after_a_deletion_gets_nothing_of_the_old_life() {
    let mut streams = Streams::start(&[]).await;
    let caller = streams.caller();
    live(&caller, 1).await;
    let (_, end) = caller.read("s", "-1").await.unwrap();
    let whole = caller.call(Method::GET, "s?offset=-1", &[], Vec::new()).await.unwrap();
    let tag = whole.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(delete(&caller).await, 204);
    live(&caller, 2).await;
    streams.kill_and_revive().await;
    let caller = streams.caller();
    assert_eq!(caller.read("s", &end).await.unwrap(), (Vec::new(), end));
    let again = caller.call(Method::GET, "s?offset=-1", &[("if-none-match", &tag)], Vec::new()).await.unwrap();
    assert_eq!(again.status(), 200, "the tag of another life must not fit");
    assert_eq!(lives_in(&again.text().await.unwrap()), [2]);
}

async fn delete(caller: &Caller) -> u16 {
    caller.call(Method::DELETE, "s", &[], Vec::new()).await.unwrap().status().as_u16()
}
