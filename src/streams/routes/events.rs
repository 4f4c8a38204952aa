//! `GET` with `live=sse`: follows a stream as server-sent events.
//!
//! The connection asks for the next events when it has sent those before, so a reader has at most one batch in memory,
//! and a slow one reads further from the store when it comes to it.

use std::pin::Pin;

use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tokio::time::{Instant, Sleep};

use super::answers::set;
use super::caching::cursor;
use super::told::{Step, again, remember};
use crate::http::sse;
use crate::streams::metrics::Waiting;
use crate::streams::reading::{Reader, Slice};
use crate::streams::service::Streams;
use crate::streams::wire::{Control, Kind, control_event, data_event, header};

/// Follows from the place of the reader until the stream ends, the connection has lasted long enough, or the server
/// shuts down. The last event always tells where to go on.
pub(super) fn follow(streams: &Streams, reader: Reader, client_cursor: Option<String>) -> Response {
    let ends_at = Instant::now() + streams.config().sse_lifetime();
    let follower = Follower {
        ends_at,
        timer: Box::pin(tokio::time::sleep_until(ends_at)),
        waiting: Waiting::begin(streams.metrics()),
        streams: streams.clone(),
        reader,
        client_cursor,
        next: Next::Tell,
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

/// What a follower does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Tells where it is, even if there is nothing new.
    Tell,
    /// Waits for something new.
    Wait,
    /// Nothing: it has told the last.
    End,
}

struct Follower {
    streams: Streams,
    reader: Reader,
    client_cursor: Option<String>,
    ends_at: Instant,
    /// Moved on for each wait: that costs next to nothing, while a new one is made known to the whole runtime.
    timer: Pin<Box<Sleep>>,
    next: Next,
    #[expect(dead_code, reason = "it counts the follower until it is dropped")]
    waiting: Waiting,
}

impl Follower {
    /// The next events; `None` at the end, and when the stream is gone.
    async fn next(&mut self) -> Option<Bytes> {
        match self.next {
            Next::End => return None,
            Next::Wait => self.wait().await,
            Next::Tell => {}
        }
        let step = self.step_to_end()?;
        let (events, up_to_date, closed) = match again(self.reader.stream(), &step) {
            Some(events) => {
                self.reader.pass_to(step.to);
                (events, true, step.closed)
            }
            None => self.read(step.cursor).await?,
        };
        let over = Instant::now() >= self.ends_at || self.streams.is_draining();
        self.next = match closed || over {
            true => Next::End,
            false if up_to_date => Next::Wait,
            false => Next::Tell,
        };
        Some(events)
    }

    /// The step to the end of the stream; `None` when the stream is gone.
    fn step_to_end(&self) -> Option<Step> {
        let (from, to, closed) = self.reader.way_to_end().ok()?;
        Some(Step { from, to, closed, cursor: self.cursor(closed) })
    }

    /// Reads on. Returns events, whether they reach the end of the stream, and whether that is closed there.
    async fn read(&mut self, given: Option<u64>) -> Option<(Bytes, bool, bool)> {
        let slice = self.reader.take(self.streams.config().event_bytes_max).await.ok()?;
        let given = if slice.closed { None } else { given.or_else(|| self.cursor(false)) };
        let events = self.events(&slice, given);
        // Nobody else is given a cursor that goes beyond a client's own.
        let is_common = given.is_none_or(|given| given == cursor(&self.streams, None));
        if let (true, Some(from), Some(to)) =
            (is_common && slice.up_to_date, slice.start.position(), slice.next.position())
        {
            remember(self.reader.stream(), Step { from, to, closed: slice.closed, cursor: given }, &events);
        }
        Some((events, slice.up_to_date, slice.closed))
    }

    /// There is none where nobody goes on.
    fn cursor(&self, closed: bool) -> Option<u64> {
        (!closed).then(|| cursor(&self.streams, self.client_cursor.as_deref()))
    }

    /// Until there is something new, it is time for a sign of life, or the end has come.
    async fn wait(&mut self) {
        let sign_of_life = Instant::now() + self.streams.config().long_poll_timeout();
        self.timer.as_mut().reset(sign_of_life.min(self.ends_at));
        tokio::select! {
            () = self.reader.more() => {}
            () = self.timer.as_mut() => {}
            () = self.streams.drained() => {}
        }
    }

    fn events(&self, slice: &Slice, cursor: Option<u64>) -> Bytes {
        let mut events = BytesMut::new();
        if !slice.is_empty() {
            data_event(&mut events, self.reader.content_type().kind(), &slice.chunks);
        }
        let control = Control { next: slice.next, cursor, up_to_date: slice.up_to_date, closed: slice.closed };
        control_event(&mut events, &control);
        events.freeze()
    }
}
