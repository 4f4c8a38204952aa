//! Responses whose body is a stream of events.

use std::pin::Pin;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};

use crate::http::live;

/// The time after which a browser's `EventSource` connects again, at the beginning of the first event of a stream: one
/// second, so that rarely anything is late.
pub(crate) const RETRY: &[u8] = b"retry: 1000\n";

/// An empty comment.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// Responds with `events`: each item is one or more encoded events, requested when the items before it are sent. So a
/// reader has at most one item in memory, and its connection has no buffers while it waits.
pub(crate) fn respond(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let mut response = live(events);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Keeps nginx from holding events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Begins `events` with [`RETRY`] at once, also where the first event may take long, and with the id from which a reader
/// continues that loses its connection before that.
pub(crate) fn with_retry(
    id: Option<String>,
    events: impl Stream<Item = Bytes> + Send + 'static,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    let opening = Bytes::from([RETRY, id.as_bytes(), b"\n"].concat());
    stream::once(async { opening }).chain(events)
}

/// Adds a comment to `events` whenever there was none for `interval`, so that proxies keep an idle connection open and
/// a reader that is gone is noticed.
pub(crate) fn keep_alive(
    events: impl Stream<Item = Bytes> + Send + 'static,
    interval: Duration,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let events: Pin<Box<dyn Stream<Item = Bytes> + Send>> = Box::pin(events);
    stream::unfold(events, move |mut events| async move {
        let next = tokio::time::timeout(interval, events.next()).await;
        next.unwrap_or(Some(COMMENT)).map(|bytes| (bytes, events))
    })
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test]
    async fn the_time_to_connect_again_comes_before_the_first_event() {
        let events = || stream::once(async { Bytes::from_static(b"data: 1\n\n") });
        let seen: Vec<Bytes> = with_retry(None, events()).collect().await;
        assert_eq!(seen, ["retry: 1000\n\n", "data: 1\n\n"]);
        let seen: Vec<Bytes> = with_retry(Some("7-3".into()), events()).collect().await;
        assert_eq!(seen, ["retry: 1000\nid: 7-3\n\n", "data: 1\n\n"]);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_filled_with_comments_and_the_end_is_passed_on() {
        let begun = Instant::now();
        let events = stream::once(async {
            sleep(Duration::from_secs(40)).await;
            Bytes::from_static(b"data: 1\n\n")
        });
        let seen: Vec<Bytes> = keep_alive(events, Duration::from_secs(15)).collect().await;
        assert_eq!(seen, [":\n\n", ":\n\n", "data: 1\n\n"]);
        assert_eq!(begun.elapsed(), Duration::from_secs(40));
    }
}
