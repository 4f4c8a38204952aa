//! Writes: what shares a commit, what waits for it, and what happens when it fails.

use std::sync::Arc;

use super::world::{append, config, content_bytes, create, path, produced, seen, text_stream, until};
use crate::http::Problem;
use crate::store::test_store::{OnCommit, TestStore};
use crate::streams::{Effect, Error, Streams};

/// Streams on a store that blocks, with the stream `a`.
async fn streams_with_a() -> (Streams, Arc<TestStore>) {
    let store = TestStore::new();
    let streams = Streams::open(config(), store.clone()).unwrap();
    create(&streams, "a", &text_stream()).await.unwrap();
    (streams, store)
}

#[tokio::test]
async fn everything_that_waits_is_written_in_one_commit() {
    let (streams, store) = streams_with_a().await;
    store.on_commit(OnCommit::Hold);
    let first = tokio::spawn({
        let streams = streams.clone();
        async move { append(&streams, "a", "1").await }
    });
    until("the first append is being written", || store.commits() == 3).await;
    let waiting: Vec<_> = (0..20)
        .map(|index| {
            let streams = streams.clone();
            tokio::spawn(async move {
                match index {
                    0 => create(&streams, "b", &text_stream()).await.map(drop),
                    _ => append(&streams, "a", "2").await.map(drop),
                }
            })
        })
        .collect();
    until("all others wait", || content_bytes(&streams) == 20).await;
    store.on_commit(OnCommit::Succeed);
    first.await.unwrap().unwrap();
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    assert_eq!(store.commits(), 4, "one for the registry, one for a, one for the first append, one for the twenty");
    assert_eq!(seen(&streams, "a").await.unwrap(), format!("1{}", "2".repeat(19)));
}

#[tokio::test]
async fn nothing_is_seen_or_answered_before_it_is_durable() {
    let (streams, store) = streams_with_a().await;
    store.on_commit(OnCommit::Hold);
    let call = |seq| {
        let streams = streams.clone();
        tokio::spawn(async move { streams.append(&path("a"), &produced(seq), "x".into()).await })
    };
    let (original, created) = (call(0), {
        let streams = streams.clone();
        tokio::spawn(async move { create(&streams, "b", &text_stream()).await })
    });
    until("it is decided", || streams.with_ledger(|ledger, _| ledger.streams_count() == 2)).await;
    let repeated = call(0);
    until("it is being written", || store.commits() >= 3).await;
    assert_eq!(seen(&streams, "a").await.unwrap(), "");
    assert!(streams.describe(&path("b")).is_err());
    assert!(!original.is_finished() && !repeated.is_finished() && !created.is_finished());
    store.on_commit(OnCommit::Succeed);
    assert_eq!(original.await.unwrap().unwrap().effect, Effect::Wrote);
    assert_eq!(repeated.await.unwrap().unwrap().effect, Effect::Repeated);
    assert!(created.await.unwrap().unwrap().new);
    assert_eq!(seen(&streams, "a").await.unwrap(), "x");
}

async fn check_failure(mood: OnCommit, words: &str) {
    let (streams, store) = streams_with_a().await;
    append(&streams, "a", "kept").await.unwrap();
    store.on_commit(mood);
    let lost = append(&streams, "a", "lost").await;
    assert!(matches!(&lost, Err(Error::StoreFailed { cause }) if cause.contains(words)), "{lost:?}");
    store.on_commit(OnCommit::Succeed);
    let commits = store.commits();
    let after = append(&streams, "a", "after").await;
    assert!(matches!(after, Err(Error::StoreFailed { .. })), "{after:?}");
    assert_eq!(Problem::from(after.unwrap_err()).kind().row().1, 503);
    assert_eq!(store.commits(), commits, "nothing is tried again");
    assert_eq!(seen(&streams, "a").await.unwrap(), "kept", "what was written can still be read");
    assert!(streams.failure().is_some());
}

#[tokio::test]
async fn a_failed_commit_is_reported_and_nothing_is_accepted_any_more() {
    check_failure(OnCommit::Fail, "the disk is full").await;
}

#[tokio::test]
async fn a_store_that_panics_has_failed() {
    check_failure(OnCommit::Panic, "panicked").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_failed_commit_is_reported_to_all_callers_that_wait() {
    check_failure(OnCommit::Fail, "the disk is full").await;
    check_failure(OnCommit::Panic, "panicked").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_decision_is_written_even_if_its_callers_go_away() {
    let (streams, store) = streams_with_a().await;
    store.on_commit(OnCommit::Hold);
    let call = |body: &'static str| {
        let streams = streams.clone();
        tokio::spawn(async move { append(&streams, "a", body).await })
    };
    let first = call("1");
    until("the first append is being written", || store.commits() == 3).await;
    let waiting = [call("2"), call("2")];
    until("the others wait", || content_bytes(&streams) == 3).await;
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    for call in waiting {
        assert!(call.await.unwrap_err().is_cancelled());
    }
    store.on_commit(OnCommit::Succeed);
    first.await.unwrap().unwrap();
    append(&streams, "a", "3").await.unwrap();
    assert_eq!(seen(&streams, "a").await.unwrap(), "1223");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_write_is_forgotten_while_callers_come_and_go() {
    let (streams, _store) = streams_with_a().await;
    let mut calls = Vec::new();
    for index in 0..400 {
        let streams = streams.clone();
        let call = tokio::spawn(async move { append(&streams, "a", "x").await });
        if index % 3 == 0 {
            call.abort();
        }
        calls.push(call);
        if index % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for call in calls {
        if let Ok(outcome) = call.await {
            outcome.unwrap();
        }
    }
    append(&streams, "a", "end").await.unwrap();
    assert!(seen(&streams, "a").await.unwrap().ends_with("xend"));
}

#[tokio::test]
async fn content_that_waits_has_a_limit() {
    let store = TestStore::new();
    let streams = Streams::open(crate::streams::Config { waiting_bytes_max: 10, ..config() }, store.clone()).unwrap();
    create(&streams, "a", &text_stream()).await.unwrap();
    store.on_commit(OnCommit::Hold);
    let call = |body: &'static str| {
        let streams = streams.clone();
        tokio::spawn(async move { append(&streams, "a", body).await })
    };
    let first = call("being written");
    until("the first is being written", || store.commits() == 3).await;
    let second = call("waiting for its turn");
    until("the second waits", || content_bytes(&streams) == 33).await;
    let refused = append(&streams, "a", "too much").await;
    assert!(matches!(refused, Err(Error::Busy { bytes: 20 })), "{refused:?}");
    store.on_commit(OnCommit::Succeed);
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    append(&streams, "a", "fits again").await.unwrap();
}
