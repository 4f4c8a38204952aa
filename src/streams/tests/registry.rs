//! The registry across restarts and crashes, and lifecycle events in this process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use tower_service::Service;

use super::world::{append, config, create, get, path, seen, text, text_stream, until};
use crate::store::test_store::{OnCommit, TestStore};
use crate::store::{MemoryStore, Store};
use crate::streams::{
    AppendRequest, Begin, Config, ContentType, CreateRequest, Error, ForkRequest, Happened, Missed, Refusal,
    StreamPath, Streams, router,
};

const REGISTRY: &str = "__registry__";

/// Path and row of every stream in the registry, except the registry itself.
async fn listed(streams: &Streams) -> BTreeMap<String, Value> {
    let text = seen(streams, REGISTRY).await.unwrap();
    let rows: Vec<Value> = serde_json::from_str(&format!("[{}]", text.strip_suffix(',').unwrap())).unwrap();
    let mut state = BTreeMap::new();
    for row in rows {
        let key = row["key"].as_str().unwrap().to_owned();
        match row["headers"]["operation"].as_str().unwrap() {
            "delete" => drop(state.remove(&key)),
            _ => drop(state.insert(key, row["value"].clone())),
        }
    }
    state.remove(REGISTRY);
    state
}

fn open(config: Config, store: &Arc<MemoryStore>) -> Streams {
    Streams::open(config, Arc::clone(store) as Arc<dyn Store>).unwrap()
}

#[tokio::test]
async fn it_continues_after_a_restart_and_starts_over_after_it_was_off() {
    let store = Arc::new(MemoryStore::default());
    let before = open(config(), &store);
    create(&before, "a", &text_stream()).await.unwrap();
    let after = open(config(), &store);
    create(&after, "b", &text_stream()).await.unwrap();
    after.append(&path("b"), &AppendRequest { closed: true, ..text() }, "end".into()).await.unwrap();
    let rows = listed(&after).await;
    assert_eq!(rows.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((&rows["a"]["closed"], &rows["b"]["closed"]), (&Value::from(false), &Value::from(true)));

    let without = open(Config { registry: false, ..config() }, &store);
    assert!(matches!(seen(&without, REGISTRY).await, Err(Error::Refused(Refusal::NotFound { .. }))));
    without.delete(&path("a")).await.unwrap();
    create(&without, "c", &text_stream()).await.unwrap();
    let with = open(config(), &store);
    assert_eq!(listed(&with).await.keys().collect::<Vec<_>>(), ["b", "c"]);
}

#[tokio::test]
async fn the_row_of_a_fork_has_its_origin() {
    let streams = Streams::in_memory(config());
    create(&streams, "a", &text_stream()).await.unwrap();
    append(&streams, "a", "12345").await.unwrap();
    let fork = ForkRequest { source: path("a"), offset: None, sub_offset: 0 };
    create(&streams, "b", &CreateRequest { fork: Some(fork), ..text_stream() }).await.unwrap();
    let row = &listed(&streams).await["b"];
    assert_eq!((&row["forkedFrom"], &row["contentType"]), (&Value::from("a"), &Value::from("text/plain")));
    let end = streams.describe(&path("a")).unwrap().next;
    assert_eq!(row["forkOffset"], end.to_string().as_str());
}

#[tokio::test]
async fn a_change_and_its_row_are_one_commit() {
    let store = TestStore::new();
    let streams = Streams::open(config(), Arc::clone(&store) as Arc<dyn Store>).unwrap();
    create(&streams, "a", &text_stream()).await.unwrap();
    let before = store.commits();
    streams.delete(&path("a")).await.unwrap();
    assert_eq!(store.commits(), before + 1);
    // What was not written is in neither after the next start.
    store.on_commit(OnCommit::Fail);
    assert!(create(&streams, "b", &text_stream()).await.is_err());
    store.on_commit(OnCommit::Succeed);
    let after = Streams::open(config(), store).unwrap();
    assert!(listed(&after).await.is_empty());
    assert!(after.describe(&path("b")).is_err());
}

/// The answer to a client that tries to change the registry.
async fn answer(streams: &Streams, method: &str, headers: &[(&str, &str)]) -> (u16, Option<String>) {
    let mut request = Request::builder().method(method).uri(format!("/v1/stream/{REGISTRY}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = router(streams.clone()).call(request.body(Body::from("{}")).unwrap()).await.unwrap();
    let allow = answer.headers().get("allow").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), allow)
}

#[tokio::test]
async fn clients_cannot_change_it() {
    let streams = Streams::in_memory(config());
    create(&streams, "a", &text_stream()).await.unwrap();
    let refused = (405, Some("GET, HEAD, OPTIONS".to_owned()));
    let json = ("content-type", "application/json");
    assert_eq!(answer(&streams, "PUT", &[json]).await, refused);
    assert_eq!(answer(&streams, "POST", &[json]).await, refused);
    assert_eq!(answer(&streams, "POST", &[json, ("stream-closed", "true")]).await, refused);
    assert_eq!(answer(&streams, "DELETE", &[]).await, refused);
    let fork = ForkRequest { source: StreamPath::registry(), offset: None, sub_offset: 0 };
    let fork = create(&streams, "f", &CreateRequest { fork: Some(fork), content_type: None, ..text_stream() }).await;
    assert!(matches!(fork, Err(Error::Refused(Refusal::SourceReadOnly { .. }))));
    assert_eq!(answer(&streams, "GET", &[]).await.0, 200);
    assert_eq!(answer(&streams, "HEAD", &[]).await.0, 200);
    assert_eq!(listed(&streams).await.len(), 1);
}

#[tokio::test]
async fn it_can_be_followed() {
    let streams = Streams::in_memory(config());
    create(&streams, "a", &text_stream()).await.unwrap();
    let mut reader = streams.read(&path(REGISTRY), Begin::Now).unwrap();
    create(&streams, "b", &text_stream()).await.unwrap();
    reader.more().await;
    let row = String::from_utf8(reader.take(usize::MAX).await.unwrap().chunks.concat()).unwrap();
    assert!(row.contains("\"key\":\"b\""), "{row}");
}

#[tokio::test]
async fn a_listener_gets_durable_events_in_order_with_the_offset_in_the_registry() {
    let store = TestStore::new();
    let streams = Streams::open(config(), Arc::clone(&store) as Arc<dyn Store>).unwrap();
    let mut events = streams.lifecycle();
    store.on_commit(OnCommit::Hold);
    let creating = {
        let streams = streams.clone();
        tokio::spawn(async move { create(&streams, "a", &text_stream()).await })
    };
    until("the commit has begun", || store.commits() == 2).await;
    let early = futures_util::poll!(std::pin::pin!(events.next()));
    assert!(early.is_pending(), "there is no event before it is durable");
    store.on_commit(OnCommit::Succeed);
    creating.await.unwrap().unwrap();
    streams.append(&path("a"), &AppendRequest { closed: true, ..text() }, "end".into()).await.unwrap();
    streams.delete(&path("a")).await.unwrap();
    let mut received = Vec::new();
    for _ in 0..3 {
        received.push(events.next().await.unwrap().unwrap());
    }
    let happened: Vec<_> = received.iter().map(|event| event.happened.clone()).collect();
    assert_eq!(happened, [Happened::Created, Happened::Closed, Happened::Deleted]);
    let end = streams.describe(&path(REGISTRY)).unwrap().next;
    assert_eq!(received[2].registry_next, Some(end));
    drop(streams);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_slow_listener_learns_how_many_events_it_missed_and_finds_them_in_the_registry() {
    let streams = Streams::in_memory(Config { lifecycle_events_max: 2, ..config() });
    let mut events = streams.lifecycle();
    for name in ["a", "b", "c", "d", "e"] {
        create(&streams, name, &text_stream()).await.unwrap();
    }
    assert_eq!(events.next().await, Some(Err(Missed { events: 3 })));
    assert_eq!(events.next().await.unwrap().unwrap().path, path("d"));
    assert_eq!(listed(&streams).await.len(), 5);
}

#[tokio::test]
async fn a_fresh_server_has_one() {
    let streams = Streams::in_memory(config());
    assert_eq!(answer(&streams, "GET", &[]).await.0, 200);
    assert!(listed(&streams).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn rows_of_streams_that_are_gone_leave_also_after_a_restart() {
    let store = Arc::new(MemoryStore::default());
    let settings = Config { registry_gone_ms: 5_000, ..config() };
    let before = open(settings.clone(), &store);
    create(&before, "secret", &text_stream()).await.unwrap();
    create(&before, "other", &text_stream()).await.unwrap();
    before.delete(&path("secret")).await.unwrap();
    let text = seen(&before, REGISTRY).await.unwrap();
    assert!(text.contains("\"secret\""), "{text}");
    before.close().await;
    let after = open(settings.clone(), &store);
    until_gone(&after).await;
    assert_eq!(listed(&after).await.keys().collect::<Vec<_>>(), ["other"]);
    after.close().await;
    let again = open(settings, &store);
    assert_eq!(listed(&again).await.keys().collect::<Vec<_>>(), ["other"]);
    assert!(!seen(&again, REGISTRY).await.unwrap().contains("secret"));
}

/// Lets time pass until the rows of a deleted stream are gone.
async fn until_gone(streams: &Streams) {
    for _ in 0..100 {
        if !seen(streams, REGISTRY).await.unwrap().contains("secret") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the rows never leave");
}

#[tokio::test]
async fn many_creations_and_deletions_fit_into_a_small_memory_store() {
    let streams = Streams::in_memory(Config { content_bytes_max: 1024 * 1024, ..config() });
    let long = format!("text/plain; x={}", "y".repeat(10_000));
    let request = CreateRequest { content_type: ContentType::parse(&long), ..text_stream() };
    for round in 0..335 {
        let created = create(&streams, "a", &request).await;
        assert!(created.is_ok(), "round {round}: {created:?}");
        streams.delete(&path("a")).await.unwrap();
        // The compaction is a task of its own.
        until("the rows are gone", || streams.with_ledger(|ledger, _| ledger.content_bytes()) < 100_000).await;
    }
    assert!(listed(&streams).await.is_empty());
}

#[tokio::test]
async fn a_follower_of_it_learns_of_a_compaction() {
    let streams = Streams::in_memory(Config { registry_gone_bytes_max: 1, ..config() });
    create(&streams, "a", &text_stream()).await.unwrap();
    let mut reader = streams.read(&path(REGISTRY), Begin::Now).unwrap();
    let before = streams.describe(&path(REGISTRY)).unwrap().next;
    for _ in 0..4 {
        create(&streams, "b", &text_stream()).await.unwrap();
        streams.delete(&path("b")).await.unwrap();
    }
    let compacted = |reader: &crate::streams::Reader| reader.position_and_end().is_err();
    until("it is compacted", || compacted(&reader)).await;
    assert!(matches!(reader.take(usize::MAX).await, Err(Error::Refused(Refusal::NotFound { .. }))));
    assert_eq!(get(&streams, &format!("/v1/stream/{REGISTRY}?offset={before}")).await.status(), 410);
    assert_eq!(listed(&streams).await.keys().collect::<Vec<_>>(), ["a"]);
}
