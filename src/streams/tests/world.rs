//! Helpers for tests of the streams.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use tower_service::Service;

use crate::streams::{
    AppendRequest, Appended, Begin, Config, ContentType, CreateRequest, Created, Error, Lifetime, ProducerStamp,
    StreamPath, Streams, router,
};

pub(in crate::streams) fn path(text: &str) -> StreamPath {
    StreamPath::parse(text).unwrap()
}

pub(super) fn text_stream() -> CreateRequest {
    CreateRequest { content_type: ContentType::parse("text/plain"), lifetime: None, closed: false, fork: None }
}

pub(super) fn idle_stream(ttl_s: u64) -> CreateRequest {
    CreateRequest { lifetime: Some(Lifetime::Idle { ttl_s }), ..text_stream() }
}

pub(super) fn text() -> AppendRequest {
    AppendRequest { content_type: ContentType::parse("text/plain"), closed: false, seq: None, producer: None }
}

pub(super) fn produced(seq: u64) -> AppendRequest {
    AppendRequest { producer: Some(ProducerStamp { id: "p".into(), epoch: 0, seq }), ..text() }
}

pub(super) async fn create(streams: &Streams, name: &str, request: &CreateRequest) -> Result<Created, Error> {
    streams.create(&path(name), request, Bytes::new()).await
}

pub(super) async fn append(streams: &Streams, name: &str, body: &'static str) -> Result<Appended, Error> {
    streams.append(&path(name), &text(), Bytes::from_static(body.as_bytes())).await
}

/// The content of a stream, as a reader sees it.
pub(super) async fn seen(streams: &Streams, name: &str) -> Result<String, Error> {
    let slice = streams.read(&path(name), Begin::Start)?.take(usize::MAX).await?;
    Ok(String::from_utf8(slice.chunks.concat()).unwrap())
}

/// Calls the router as a server does.
pub(super) async fn get(streams: &Streams, target: &str) -> Response<Body> {
    let request = Request::get(target).body(Body::empty()).unwrap();
    router(streams.clone()).call(request).await.unwrap()
}

/// Lets all tasks run until `done`. The deadline is in real time, so this also works with a paused clock.
pub(in crate::streams) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::task::yield_now().await;
    }
}

/// The bytes of content of all streams except the registry.
pub(super) fn content_bytes(streams: &Streams) -> u64 {
    streams.with_ledger(|ledger, _| {
        let registry = ledger.stream(&StreamPath::registry()).map_or(0, |registry| registry.tail);
        ledger.content_bytes() - registry
    })
}

pub(super) fn config() -> Config {
    Config::default()
}
