//! Expiry: on access, by the sweep, and never under a reader.

use std::time::Duration;

use super::world::{append, config, content_bytes, create, idle_stream, path, seen, text_stream, until};
use crate::streams::{Begin, CreateRequest, Error, Lifetime, Refusal, Streams};

async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

fn gone(outcome: Result<String, Error>) -> bool {
    matches!(outcome, Err(Error::Refused(Refusal::NotFound { .. })))
}

fn kept(streams: &Streams) -> usize {
    streams.with_ledger(|ledger, _| ledger.streams_count())
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_ends_and_is_swept_although_nobody_asks_for_it() {
    let streams = Streams::in_memory(config());
    create(&streams, "a", &idle_stream(2)).await.unwrap();
    append(&streams, "a", "x").await.unwrap();
    pass(1_999).await;
    assert_eq!(kept(&streams), 1);
    pass(2).await;
    until("it is swept", || kept(&streams) == 0).await;
    assert_eq!(content_bytes(&streams), 0);
    assert!(gone(seen(&streams, "a").await));
}

#[tokio::test(start_paused = true)]
async fn each_use_begins_the_time_anew() {
    let streams = Streams::in_memory(config());
    create(&streams, "a", &idle_stream(2)).await.unwrap();
    for _ in 0..5 {
        pass(1_500).await;
        seen(&streams, "a").await.unwrap();
        pass(1_500).await;
        append(&streams, "a", "x").await.unwrap();
    }
    pass(1_500).await;
    streams.describe(&path("a")).unwrap();
    pass(600).await;
    assert!(gone(seen(&streams, "a").await), "looking at it is no use of it");
}

#[tokio::test(start_paused = true)]
async fn a_stream_does_not_expire_under_its_reader() {
    let streams = Streams::in_memory(config());
    create(&streams, "a", &idle_stream(1)).await.unwrap();
    let reader = streams.read(&path("a"), Begin::Start).unwrap();
    pass(60_000).await;
    assert!(streams.describe(&path("a")).is_ok());
    drop(reader);
    pass(900).await;
    assert!(streams.describe(&path("a")).is_ok());
    pass(200).await;
    assert!(gone(seen(&streams, "a").await));
}

#[tokio::test(start_paused = true)]
async fn the_instant_of_a_stream_wakes_whoever_waits_for_it() {
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
    pass(10).await;
    create(&streams, "short", &idle_stream(1)).await.unwrap();
    pass(1_010).await;
    until("the short one is swept", || kept(&streams) == 1).await;
}
