//! Tests of the timing of wakes and retries.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::world::{
    Receiver, ReceiverClient, all_of, append, call, call_as, claim, config, events, failed, open, open_with, pull,
    view, webhook,
};
use crate::store::MemoryStore;
use crate::store::test_store::{OnCommit, TestStore};
use crate::streams::commit::table_of;
use crate::streams::rules::KeySpace;
use crate::streams::subscriptions::rules::Outcome;
use crate::streams::tests::world::{path, until};
use crate::streams::{Config, Streams};

#[tokio::test(start_paused = true)]
async fn an_append_wakes_and_done_acknowledges() {
    let receiver = Receiver::new([]);
    let streams = open(&Arc::default(), &receiver);
    webhook(&streams, "s", "events/*").await;
    append(&streams, "events/a").await;
    append(&streams, "other").await;
    let wake = receiver.call(1).await;
    assert_eq!((wake.generation, wake.mount.as_str()), (1, "/v1/stream"));
    let acked = async || view(&streams, "s").await["streams"][0]["acked_offset"].clone();
    while acked().await == "-1" {
        tokio::task::yield_now().await;
    }
    assert_eq!(acked().await, streams.describe(&path("events/a")).unwrap().next.to_string());
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(receiver.calls().len(), 1, "acknowledged data wakes nobody");
}

#[tokio::test(start_paused = true)]
async fn a_failing_receiver_is_retried_with_growing_waits() {
    let receiver = Receiver::new((0..8).map(|_| failed()));
    let streams = open_with(Config { subscriptions_webhook_timeout_ms: 1, ..config() }, &Arc::default(), &receiver);
    webhook(&streams, "s", "events/*").await;
    append(&streams, "events/a").await;
    receiver.call(1).await;
    let mut last = Instant::now();
    for (number, seconds) in (2..).zip([1, 2, 4, 8, 16, 32, 60, 60]) {
        while receiver.calls().len() < number {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let waited = last.elapsed().as_secs_f64() / f64::from(seconds);
        assert!((0.79..1.25).contains(&waited), "call {number} came after {waited} times {seconds} s");
        last = Instant::now();
        if number <= 8 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(view(&streams, "s").await["status"], "failed");
        }
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(view(&streams, "s").await["status"], "active");
    assert!(receiver.calls().iter().all(|wake| wake.generation == 1));
    let metrics = streams.metrics_text();
    assert!(metrics.contains("exorelay_streams_webhooks_failed_total 8\n"), "{metrics}");
    assert!(metrics.contains("exorelay_streams_webhooks_total 1\n"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn concurrent_calls_are_limited() {
    let receiver = Receiver::closed();
    let config = Config { subscriptions_deliveries_max: 2, ..config() };
    let streams = open_with(config, &Arc::default(), &receiver);
    for id in ["1", "2", "3"] {
        webhook(&streams, id, "events/*").await;
    }
    append(&streams, "events/a").await;
    receiver.call(2).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(receiver.calls().len(), 2);
    receiver.open(1);
    receiver.call(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_wake_event_is_appended_and_again_when_the_lease_ends() {
    let streams = open(&Arc::default(), &Receiver::new([]));
    pull(&streams, "s", "events/*").await;
    append(&streams, "events/a").await;
    while events(&streams).await.is_empty() {
        tokio::task::yield_now().await;
    }
    let event = events(&streams).await.remove(0);
    assert!(event["ts"].is_u64());
    let expected =
        json!({"type": "wake", "subscription_id": "s", "stream": "events/a", "generation": 1, "ts": event["ts"]});
    assert_eq!(event, expected);
    let (_, claimed) = claim(&streams, "s", "w1").await;
    tokio::time::sleep(Duration::from_millis(4_990)).await;
    assert_eq!(events(&streams).await.len(), 1);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(events(&streams).await[1]["generation"], 2);
    let (status, answer) =
        call_as(&streams, &claimed["token"], "POST __ds/subscriptions/s/ack", all_of(&claimed)).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("FENCED")));
}

#[tokio::test]
async fn a_claim_after_an_append_sees_it() {
    let streams = open(&Arc::default(), &Receiver::new([]));
    pull(&streams, "s", "events/*").await;
    for generation in 1..20 {
        append(&streams, "events/a").await;
        let (status, claimed) = claim(&streams, "s", "w").await;
        assert_eq!((status, &claimed["generation"]), (200, &json!(generation)));
        let done = call_as(&streams, &claimed["token"], "POST __ds/subscriptions/s/ack", all_of(&claimed)).await;
        assert_eq!(done, (200, json!({"ok": true, "next_wake": false})));
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_accepts_without_calling_back_is_woken_after_its_lease() {
    let receiver = Receiver::new([Outcome::Accepted]);
    let streams = open(&Arc::default(), &receiver);
    webhook(&streams, "s", "events/*").await;
    append(&streams, "events/a").await;
    receiver.call(1).await;
    tokio::time::sleep(Duration::from_millis(29_900)).await;
    assert_eq!(receiver.calls().len(), 1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(receiver.call(2).await.generation, 2);
}

#[tokio::test]
async fn no_call_is_made_before_the_wake_is_committed() {
    let (store, receiver) = (TestStore::new(), Receiver::new([]));
    let webhook_client = Arc::new(ReceiverClient(Arc::clone(&receiver)));
    let streams = Streams::open_with(config(), store.clone(), webhook_client).unwrap();
    webhook(&streams, "s", "events/*").await;
    append(&streams, "events/a").await;
    receiver.call(1).await;
    let before = store.commits();
    store.on_commit(OnCommit::Hold);
    let appending = tokio::spawn({
        let streams = streams.clone();
        async move { append(&streams, "events/a").await }
    });
    until("the commit has begun", || store.commits() > before).await;
    tokio::task::yield_now().await;
    assert_eq!(receiver.calls().len(), 1);
    store.on_commit(OnCommit::Succeed);
    appending.await.unwrap();
    receiver.call(2).await;
    store.on_commit(OnCommit::Fail);
    let (status, answer) = call(&streams, "DELETE __ds/subscriptions/s", Value::Null).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("STORE_FAILED")));
}

#[tokio::test]
async fn draining_starts_no_calls_and_waits_for_started_ones() {
    let (store, receiver) = (Arc::<MemoryStore>::default(), Receiver::closed());
    let streams = open(&store, &receiver);
    webhook(&streams, "s", "events/*").await;
    append(&streams, "events/a").await;
    receiver.call(1).await;
    streams.drain();
    let (status, answer) = call(&streams, "GET __ds/subscriptions/s", Value::Null).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("DRAINING")));
    let links = table_of(KeySpace::SubscriptionLinks);
    let stored = || crate::store::Store::scan(&*store, links, None, 9).unwrap();
    assert_eq!(stored().len(), 1, "the stream has something that is not acknowledged");
    receiver.open(1);
    until("the outcome is committed", || stored().is_empty()).await;
}
