//! Expiry: on access, by the sweep, and never while there is a reader.

use std::time::Duration;

use super::world::{append, config, content_bytes, create, idle_stream, path, seen, text_stream, until};
use crate::streams::{Begin, CreateRequest, Error, Lifetime, Refusal, Streams};

async fn advance(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

fn not_found(outcome: Result<String, Error>) -> bool {
    matches!(outcome, Err(Error::Refused(Refusal::NotFound { .. })))
}

fn count(streams: &Streams) -> usize {
    streams.with_ledger(|ledger, _| ledger.streams_count())
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_expires_and_is_swept_without_any_access() {
    let streams = Streams::in_memory(config());
    create(&streams, "a", &idle_stream(2)).await.unwrap();
    append(&streams, "a", "x").await.unwrap();
    advance(1_999).await;
    assert_eq!(count(&streams), 1);
    advance(2).await;
    until("it is swept", || count(&streams) == 0).await;
    assert_eq!(content_bytes(&streams), 0);
    assert!(not_found(seen(&streams, "a").await));
}

#[tokio::test(start_paused = true)]
async fn each_use_restarts_the_ttl() {
    let streams = Streams::in_memory(config());
    create(&streams, "a", &idle_stream(2)).await.unwrap();
    for _ in 0..5 {
        advance(1_500).await;
        seen(&streams, "a").await.unwrap();
        advance(1_500).await;
        append(&streams, "a", "x").await.unwrap();
    }
    advance(1_500).await;
    streams.describe(&path("a")).unwrap();
    advance(600).await;
    assert!(not_found(seen(&streams, "a").await), "HEAD does not count as a use");
}

#[tokio::test(start_paused = true)]
async fn a_stream_does_not_expire_while_it_has_a_reader() {
    let streams = Streams::in_memory(config());
    create(&streams, "a", &idle_stream(1)).await.unwrap();
    let reader = streams.read(&path("a"), Begin::Start).unwrap();
    advance(60_000).await;
    assert!(streams.describe(&path("a")).is_ok());
    drop(reader);
    advance(900).await;
    assert!(streams.describe(&path("a")).is_ok());
    advance(200).await;
    assert!(not_found(seen(&streams, "a").await));
}

#[tokio::test(start_paused = true)]
async fn the_expiry_of_a_stream_wakes_its_followers() {
    let streams = Streams::in_memory(config());
    let at_ms = streams.now_ms() + 5_000;
    let lifetime = Some(Lifetime::Until { at_ms, text: "then".into() });
    create(&streams, "a", &CreateRequest { lifetime, ..text_stream() }).await.unwrap();
    let mut reader = streams.read(&path("a"), Begin::Now).unwrap();
    let began = tokio::time::Instant::now();
    reader.more().await;
    assert!(began.elapsed().as_millis().abs_diff(5_000) <= 5, "{:?}", began.elapsed());
    assert!(matches!(reader.take(100).await, Err(Error::Refused(Refusal::NotFound { .. }))));
}

#[tokio::test(start_paused = true)]
async fn a_shorter_life_is_swept_before_a_longer_one_that_was_planned_first() {
    let streams = Streams::in_memory(config());
    create(&streams, "long", &idle_stream(3_600)).await.unwrap();
    advance(10).await;
    create(&streams, "short", &idle_stream(1)).await.unwrap();
    advance(1_010).await;
    until("the short one is swept", || count(&streams) == 1).await;
}
