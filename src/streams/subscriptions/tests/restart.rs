//! Tests of subscriptions across restarts.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::world::{
    Receiver, TestStorage, all_of, append, call, call_as, claim, config, events, failed, open, open_with, pull, view,
    webhook,
};
use crate::store::{Batch, MemoryStore, Owner, Store};
use crate::streams::{Config, Streams};

#[tokio::test]
async fn terms_links_and_offsets_survive_a_restart() {
    for storage in TestStorage::each() {
        let receiver = Receiver::closed();
        let before = storage.open(&receiver);
        append(&before, "events/old").await;
        webhook(&before, "s", "events/*").await;
        call(&before, "POST __ds/subscriptions/s/streams", json!({"streams": ["named/a", "named/b"]})).await;
        call(&before, "DELETE __ds/subscriptions/s/streams/named%2Fb", Value::Null).await;
        append(&before, "events/new").await;
        let expected = view(&before, "s").await;
        let paths: Vec<_> = expected["streams"].as_array().unwrap().iter().map(|stream| &stream["path"]).collect();
        assert_eq!(paths, ["events/new", "events/old", "named/a"]);
        before.close().await;
        assert_eq!(view(&storage.open(&receiver), "s").await, expected);
    }
}

#[tokio::test]
async fn an_append_without_a_wake_wakes_after_a_restart() {
    let (store, receiver) = (Arc::new(MemoryStore::default()), Receiver::new([]));
    let before = open(&store, &receiver);
    webhook(&before, "s", "events/*").await;
    append(&before, "events/a").await;
    drop(before);
    assert!(receiver.calls().is_empty(), "the restart came first");
    let _after = open(&store, &receiver);
    assert_eq!(receiver.call(1).await.streams[0].path.as_str(), "events/a");
}

#[tokio::test]
async fn a_deleted_subscription_stays_deleted() {
    let (store, receiver) = (Arc::new(MemoryStore::default()), Receiver::new([]));
    let before = open(&store, &receiver);
    append(&before, "events/a").await;
    webhook(&before, "s", "events/*").await;
    assert_eq!(call(&before, "DELETE __ds/subscriptions/s", Value::Null).await.0, 204);
    assert_eq!(call(&open(&store, &receiver), "GET __ds/subscriptions/s", Value::Null).await.0, 404);
    for table in ["subscriptions", "subscription-links"] {
        assert_eq!(store.scan(Owner::Streams.table(table), None, 9).unwrap(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_keeps_its_generation_count_and_time() {
    let store = Arc::new(MemoryStore::default());
    let before = Receiver::new([failed()]);
    let streams = open_with(Config { subscriptions_webhook_timeout_ms: 1, ..config() }, &store, &before);
    webhook(&streams, "s", "events/*").await;
    append(&streams, "events/a").await;
    let first = before.call(1).await;
    while view(&streams, "s").await["status"] != "failed" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(streams);

    let after = Receiver::new([failed(), failed()]);
    let streams = open(&store, &after);
    assert_eq!(view(&streams, "s").await["status"], "failed");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(after.calls().is_empty());
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!((after.calls()[0].generation, &after.calls()[0].wake_id), (1, &first.wake_id));
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(after.calls().len(), 1, "the second wait is longer than the first");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(after.calls().len(), 2);
}

#[tokio::test]
async fn a_claim_survives_a_restart() {
    for storage in TestStorage::each() {
        let receiver = Receiver::new([]);
        let before = storage.open(&receiver);
        pull(&before, "s", "events/*").await;
        append(&before, "events/a").await;
        let (_, claimed) = claim(&before, "s", "w1").await;
        before.close().await;

        let after = storage.open(&receiver);
        let (status, refused) = claim(&after, "s", "w2").await;
        assert_eq!((status, &refused["error"]["current_holder"]), (409, &json!("w1")));
        let done = call_as(&after, &claimed["token"], "POST __ds/subscriptions/s/ack", all_of(&claimed)).await;
        assert_eq!(done, (200, json!({"ok": true, "next_wake": false})));
        after.close().await;

        let last = storage.open(&receiver);
        assert_eq!(claim(&last, "s", "w2").await.1["error"]["code"], "NO_PENDING_WORK");
        append(&last, "events/a").await;
        assert_eq!(claim(&last, "s", "w2").await.1["generation"], 2, "generations continue");
    }
}

#[tokio::test]
async fn a_restart_does_not_repeat_a_wake_event() {
    for storage in TestStorage::each() {
        let receiver = Receiver::new([]);
        let before = storage.open(&receiver);
        pull(&before, "s", "events/*").await;
        append(&before, "events/a").await;
        while events(&before).await.is_empty() {
            tokio::task::yield_now().await;
        }
        before.close().await;
        let after = storage.open(&receiver);
        append(&after, "events/a").await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(events(&after).await.len(), 1);
        assert_eq!(claim(&after, "s", "w").await.1["generation"], 1);
    }
}

#[tokio::test]
async fn keys_survive_a_restart() {
    for storage in TestStorage::each() {
        let receiver = Receiver::new([]);
        let before = storage.open(&receiver);
        let (status, keys) = call(&before, "GET __ds/jwks.json", Value::Null).await;
        assert_eq!((status, keys["keys"].as_array().unwrap().len()), (200, 1));
        before.close().await;
        assert_eq!(call(&storage.open(&receiver), "GET __ds/jwks.json", Value::Null).await.1, keys);
    }
}

#[tokio::test]
async fn a_damaged_entry_is_an_error_with_its_name() {
    for (table, key) in
        [("subscriptions", "mine"), ("subscription-links", "s\0a/mine"), ("subscription-secrets", "ds_mine")]
    {
        let store = Arc::new(MemoryStore::default());
        let mut batch = Batch::default();
        batch.put(Owner::Streams.table(table), key.into(), "{\"log\":".into());
        store.commit(batch).unwrap();
        let refused = Streams::open(Config::default(), store).err().unwrap().to_string();
        assert!(refused.contains("mine"), "{refused}");
    }
}
