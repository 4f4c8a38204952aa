//! `GET` with `live=sse`: follows a stream as server-sent events.
//!
//! The connection polls for events when it has sent the previous ones, so a reader has at most one batch in memory, and a slow
//! reader catches up from the store.

use std::pin::Pin;

use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tokio::time::{Instant, Sleep};

use super::answers::set;
use super::caching;
use crate::http::sse;
use crate::streams::event_cache::EventKey;
use crate::streams::metrics::LiveReader;
use crate::streams::reader::{Reader, Slice};
use crate::streams::service::Streams;
use crate::streams::wire::{Control, Kind, control_event, data_event, header};

/// Follows the stream from the reader's position on, until the stream ends, the connection has lasted long enough, or the
/// server shuts down. The last event always has the offset to continue at.
pub(super) fn follow(streams: &Streams, reader: Reader, client_cursor: Option<String>) -> Response {
    let ends_at = Instant::now() + streams.config().sse_lifetime();
    let follower = Follower {
        ends_at,
        timer: Box::pin(tokio::time::sleep_until(ends_at)),
        _live_reader: LiveReader::begin(streams.metrics()),
        streams: streams.clone(),
        reader,
        client_cursor,
        next: Next::Read,
    };
    let kind = follower.reader.content_type().kind();
    let mut response = sse::respond(stream::unfold(follower, |mut follower| async move {
        let events = follower.next().await?;
        Some((events, follower))
    }));
    if kind == Kind::Binary {
        set(response.headers_mut(), &header::DATA_ENCODING, "base64");
    }
    response
}

/// The next action of a follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Sends what there is: at least its position.
    Read,
    /// Waits for news, then sends it.
    Wait,
    /// Ends: the last event was sent.
    End,
}

struct Follower {
    streams: Streams,
    reader: Reader,
    client_cursor: Option<String>,
    ends_at: Instant,
    /// Reset for each wait, which is much cheaper than a new timer.
    timer: Pin<Box<Sleep>>,
    next: Next,
    _live_reader: LiveReader,
}

impl Follower {
    /// Returns the next events; `None` at the end, and if the stream was deleted.
    async fn next(&mut self) -> Option<Bytes> {
        match self.next {
            Next::End => return None,
            Next::Wait => self.wait().await,
            Next::Read => {}
        }
        let key = self.key_of_rest()?;
        let (events, up_to_date, closed) = match self.streams.event_cache().get(self.reader.stream(), &key) {
            Some(events) => {
                self.reader.advance_to(key.to);
                (events, true, key.closed)
            }
            None => self.read(key.cursor).await?,
        };
        let over = Instant::now() >= self.ends_at || self.streams.is_draining();
        self.next = match closed || over {
            true => Next::End,
            false if up_to_date => Next::Wait,
            false => Next::Read,
        };
        Some(events)
    }

    /// The key of the events from here to the end of the stream; `None` if the stream was deleted.
    fn key_of_rest(&self) -> Option<EventKey> {
        let (from, to, closed) = self.reader.position_and_end().ok()?;
        Some(EventKey { from, to, closed, cursor: self.cursor(closed) })
    }

    /// Reads and encodes events. Returns them, with true if they reach the end of the stream, and true if it is closed there.
    async fn read(&mut self, cursor: Option<u64>) -> Option<(Bytes, bool, bool)> {
        let slice = self.reader.take(self.streams.config().event_bytes_max).await.ok()?;
        let cursor = if slice.closed { None } else { cursor.or_else(|| self.cursor(false)) };
        let events = self.encode(&slice, cursor);
        // A cursor that jumps beyond a client's own is for that client only.
        let is_common = cursor.is_none_or(|cursor| cursor == caching::cursor(&self.streams, None));
        if let (true, Some(from), Some(to)) =
            (is_common && slice.up_to_date, slice.start.position(), slice.next.position())
        {
            let key = EventKey { from, to, closed: slice.closed, cursor };
            self.streams.event_cache().insert(self.reader.stream(), key, &events);
        }
        Some((events, slice.up_to_date, slice.closed))
    }

    /// The cursor to send; none at the end of a closed stream.
    fn cursor(&self, closed: bool) -> Option<u64> {
        (!closed).then(|| caching::cursor(&self.streams, self.client_cursor.as_deref()))
    }

    /// Waits until there is news, a keep-alive is due, or the connection should end.
    async fn wait(&mut self) {
        let keep_alive_at = Instant::now() + self.streams.config().long_poll_timeout();
        self.timer.as_mut().reset(keep_alive_at.min(self.ends_at));
        tokio::select! {
            () = self.reader.more() => {}
            () = self.timer.as_mut() => {}
            () = self.streams.drained() => {}
        }
    }

    fn encode(&self, slice: &Slice, cursor: Option<u64>) -> Bytes {
        let mut events = BytesMut::new();
        if !slice.is_empty() {
            data_event(&mut events, self.reader.content_type().kind(), &slice.chunks);
        }
        let control = Control { next: slice.next, cursor, up_to_date: slice.up_to_date, closed: slice.closed };
        control_event(&mut events, &control);
        events.freeze()
    }
}
