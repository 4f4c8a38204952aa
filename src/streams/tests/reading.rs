//! Reads: everything up to the end that the stream had when it was asked for, in parts.

use std::sync::Arc;

use axum::body::{Body, HttpBody, to_bytes};
use axum::http::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::world::{append, config, create, get, path, text_stream};
use crate::store::{Batch, MemoryStore, Owner, Store};
use crate::streams::commit::STREAMS;
use crate::streams::{AppendRequest, ContentType, CreateRequest, Streams};

/// More than one part.
const MESSAGES: usize = 2_000;

async fn of_json() -> Streams {
    let (streams, json) = (Streams::in_memory(config()), ContentType::parse("application/json"));
    let request = CreateRequest { content_type: json.clone(), ..text_stream() };
    create(&streams, "a", &request).await.unwrap();
    let request = AppendRequest { content_type: json, ..AppendRequest::default() };
    for number in 0..MESSAGES {
        let message = json!({"n": number, "text": "x".repeat(1_000)}).to_string();
        streams.append(&path("a"), &request, message.into()).await.unwrap();
    }
    streams
}

async fn whole(answer: Response<Body>) -> Bytes {
    assert_eq!(answer.status(), 200);
    let length = answer.body().size_hint().exact().expect("its length is known");
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    assert_eq!(body.len() as u64, length);
    body
}

#[tokio::test]
async fn a_read_of_json_is_one_array_of_everything() {
    let streams = of_json().await;
    let answer = get(&streams, "/v1/stream/a").await;
    assert_eq!(answer.headers()["stream-up-to-date"], "true");
    let end = streams.describe(&path("a")).unwrap().next;
    assert_eq!(answer.headers()["stream-next-offset"], end.to_string().as_str());
    let messages: Vec<Value> = serde_json::from_slice(&whole(answer).await).unwrap();
    assert!(messages.iter().enumerate().all(|(number, message)| message["n"] == number));
    assert_eq!(messages.len(), MESSAGES);
    let polled = get(&streams, "/v1/stream/a?offset=-1&live=long-poll").await;
    assert_eq!(serde_json::from_slice::<Vec<Value>>(&whole(polled).await).unwrap().len(), MESSAGES);
    let empty = get(&streams, &format!("/v1/stream/a?offset={end}")).await;
    assert_eq!(whole(empty).await, "[]");
}

#[tokio::test]
async fn a_read_ends_where_the_stream_did_when_it_was_asked_for() {
    let streams = of_json().await;
    let answer = get(&streams, "/v1/stream/a").await;
    let request = AppendRequest { content_type: ContentType::parse("application/json"), ..AppendRequest::default() };
    streams.append(&path("a"), &request, "\"later\"".into()).await.unwrap();
    assert!(!whole(answer).await.ends_with(b"\"later\"]"));
}

#[tokio::test]
async fn an_answer_whose_stream_is_deleted_meanwhile_is_broken_off() {
    let streams = of_json().await;
    let mut body = get(&streams, "/v1/stream/a").await.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "[");
    streams.delete(&path("a")).await.unwrap();
    let (mut bytes, mut broken) = (0, false);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes += frame.into_data().unwrap().len(),
            Err(error) => {
                assert!(error.to_string().contains("there is no stream a"), "{error}");
                broken = true;
                break;
            }
        }
    }
    assert!(broken && bytes < MESSAGES * 1_000);
}

#[tokio::test]
async fn the_tags_of_two_lives_differ_even_if_their_content_is_the_same() {
    let streams = Streams::in_memory(config());
    create(&streams, "a", &text_stream()).await.unwrap();
    append(&streams, "a", "abc").await.unwrap();
    let read = get(&streams, "/v1/stream/a?offset=-1").await.headers()["etag"].clone();
    streams.delete(&path("a")).await.unwrap();
    create(&streams, "a", &text_stream()).await.unwrap();
    append(&streams, "a", "abc").await.unwrap();
    let again = get(&streams, "/v1/stream/a?offset=-1").await.headers()["etag"].clone();
    assert_ne!(read, again, "another life");
}

#[tokio::test]
async fn a_path_with_dots_is_refused_however_they_are_written() {
    let streams = Streams::in_memory(config());
    for path in ["a/../b", "a/./b", "..", "%2e%2e/b", "a/%2E%2e", "a%2F..", "a/..%2f"] {
        let answer = get(&streams, &format!("/v1/stream/{path}")).await;
        assert_eq!(answer.status(), 400, "{path}");
    }
}

#[tokio::test]
async fn a_stream_of_an_earlier_version_keeps_a_path_that_new_ones_may_not_have() {
    let store = Arc::new(MemoryStore::default());
    let mut batch = Batch::default();
    let entry = r#"{"log":7,"content_type":"text/plain","created_ms":1,"accessed_ms":2}"#;
    batch.put(STREAMS, "a/".into(), entry.into());
    batch.append(Owner::Streams.log(7), 0, "old".into());
    store.commit(batch).unwrap();
    let streams = Streams::open(config(), store).unwrap();
    assert_eq!(whole(get(&streams, "/v1/stream/a/").await).await, "old");
    assert_eq!(get(&streams, "/v1/stream/b/").await.status(), 400);
}
