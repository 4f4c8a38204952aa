//! Responses whose body is a stream of events.

use std::pin::Pin;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};

use crate::http::live;

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
