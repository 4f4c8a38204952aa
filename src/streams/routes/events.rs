//! `GET` with `live=sse`: follows a stream as server-sent events.
//!
//! The connection polls for events when it has sent the previous ones, so a reader has at most one batch in memory, and a slow
//! reader catches up from the store.

use std::pin::Pin;

use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tokio::time::{Instant, Sleep};

use super::answers::{Failure, set};
use super::caching;
use super::content::PIECE_BYTES;
use crate::http::sse;
use crate::streams::error::Error;
use crate::streams::event_cache::{CachedEvents, EventKey};
use crate::streams::metrics::LiveReader;
use crate::streams::read_budget::Held;
use crate::streams::reader::{Encoded, Reader, Slice};
use crate::streams::service::Streams;
use crate::streams::wire::{Control, Following, Form, control_event, data_event, header, joined, text_until};

/// First events that are joined with what precedes them.
const JOINED_BYTES_MAX: usize = 64 * 1024;

/// Follows the stream from the reader's position on, until the stream ends, the connection has lasted long enough, or the
/// server shuts down. The last event always has the offset to continue at. Errors: the first content cannot be read.
pub(super) async fn follow(
    streams: &Streams,
    reader: Reader,
    client_cursor: Option<String>,
) -> Result<Response, Failure> {
    let ends_at = Instant::now() + streams.config().sse_lifetime();
    let mut follower = Follower {
        ends_at,
        timer: Box::pin(tokio::time::sleep_until(ends_at)),
        _live_reader: LiveReader::begin(streams.metrics()),
        streams: streams.clone(),
        form: Form::of(reader.content_type()),
        reader,
        client_cursor,
        waiting: Bytes::new(),
        held: None,
        next: Next::Read,
    };
    let first = match follower.batch().await? {
        Some(events) => events,
        None => {
            follower.form = Form::Base64;
            follower.batch().await?.expect("base64 can hold everything")
        }
    };
    let form = follower.form;
    // The last one is sent first; a long one is not copied.
    let first = match first.len() <= JOINED_BYTES_MAX {
        true => vec![Bytes::from([sse::RETRY, &first].concat())],
        false => vec![first, Bytes::from_static(sse::RETRY)],
    };
    let mut response = sse::respond(stream::unfold((first, follower), |(mut first, mut follower)| async move {
        let mut events = match first.pop() {
            Some(first) => first,
            None => follower.next().await?,
        };
        if events.len() > PIECE_BYTES {
            first.push(events.split_off(PIECE_BYTES));
        }
        Some((events, (first, follower)))
    }));
    if form == Form::Base64 {
        set(response.headers_mut(), &header::DATA_ENCODING, "base64");
    }
    Ok(response)
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
    form: Form,
    client_cursor: Option<String>,
    ends_at: Instant,
    /// Reset for each wait, which is much cheaper than a new timer.
    timer: Pin<Box<Sleep>>,
    /// The last bytes that were read, if they wait for what follows: a part of a character, or of a line break.
    waiting: Bytes,
    /// The memory that the last events take.
    held: Held,
    next: Next,
    _live_reader: LiveReader,
}

impl Follower {
    /// Returns the next events; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        // The connection has taken the last ones.
        self.held = None;
        match self.next {
            Next::End => return None,
            Next::Wait => self.wait().await,
            Next::Read => {}
        }
        match self.batch().await {
            Ok(events) => events,
            // The client learns why nothing more comes: at once, and from the answer when it connects again.
            Err(Error::Refused(_)) => {
                self.next = Next::End;
                Some(self.farewell())
            }
            Err(_) => None,
        }
    }

    /// Returns the events from here to the end of the stream, or as many as fit into a batch. `None` if the content cannot be
    /// sent in the form of this connection: the client continues on another one, whose form is chosen for it. Errors:
    /// [`Error::Refused`] if the stream was deleted, and those of a read.
    async fn batch(&mut self) -> Result<Option<Bytes>, Error> {
        let (read, to, closed) = self.reader.position_and_end()?;
        let from = read - self.waiting.len() as u64;
        let key = EventKey { from, to, closed, cursor: self.cursor(closed), form: self.form };
        let (events, up_to_date, closed) = match self.streams.event_cache().get(self.reader.stream(), &key) {
            Some(CachedEvents { events, waiting }) => {
                self.reader.advance_to(to);
                self.waiting = waiting;
                (events, true, closed)
            }
            None => match self.read(key).await? {
                Some(read) => read,
                None => return Ok(None),
            },
        };
        let over = Instant::now() >= self.ends_at || self.streams.is_draining();
        self.next = match closed || over {
            true => Next::End,
            false if up_to_date => Next::Wait,
            false => Next::Read,
        };
        Ok(Some(events))
    }

    /// Reads and encodes events. Returns them, with true if they reach the end of the stream, and true if it is closed there.
    async fn read(&mut self, key: EventKey) -> Result<Option<(Bytes, bool, bool)>, Error> {
        let Some(slice) = self.slice().await? else { return Ok(None) };
        let cursor = if slice.closed { None } else { key.cursor.or_else(|| self.cursor(false)) };
        let events = self.encode(&slice, cursor);
        // A cursor that jumps beyond a client's own is for that client only.
        let is_common = cursor.is_none_or(|cursor| cursor == caching::cursor(&self.streams, None));
        if is_common && slice.up_to_date {
            let key = EventKey { to: self.reader.position(), closed: slice.closed, cursor, ..key };
            let cached = CachedEvents { events: events.clone(), waiting: self.waiting.clone() };
            self.streams.event_cache().insert(self.reader.stream(), key, &cached);
        }
        Ok(Some((events, slice.up_to_date, slice.closed)))
    }

    /// Reads the content of the next event. Text ends with a whole character and a whole line break; `None` if this is no text.
    async fn slice(&mut self) -> Result<Option<Slice>, Error> {
        let bytes_max = self.streams.config().event_bytes_max;
        let start = self.reader.position();
        let mut slice = self.take(bytes_max).await?;
        if self.form != Form::Text {
            return Ok(Some(slice));
        }
        loop {
            let waiting = Some(std::mem::take(&mut self.waiting)).filter(|waiting| !waiting.is_empty());
            let chunks: Vec<Bytes> = waiting.into_iter().chain(slice.chunks).collect();
            let content = joined(&chunks);
            let following = if slice.closed { Following::Nothing } else { Following::More };
            let Some(until) = text_until(&content, following) else {
                self.reader.return_to(start);
                return Ok(None);
            };
            self.waiting = Bytes::copy_from_slice(&content[until..]);
            if until == 0 && !slice.up_to_date {
                slice = self.take(bytes_max).await?;
                continue;
            }
            slice.chunks = if until == 0 { Vec::new() } else { vec![content.slice(..until)] };
            slice.next = self.reader.offset_before(self.waiting.len());
            return Ok(Some(slice));
        }
    }

    async fn take(&mut self, bytes_max: usize) -> Result<Slice, Error> {
        let (_, end, closed) = self.reader.position_and_end()?;
        let (slice, held) = self.reader.take_held((end, closed), bytes_max, Encoded::Events).await?;
        self.held = held;
        Ok(slice)
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
            data_event(&mut events, self.form, &slice.chunks, slice.next);
        }
        let Slice { next, up_to_date, closed, .. } = *slice;
        control_event(&mut events, &Control { next, cursor, up_to_date, closed, deleted: false });
        events.freeze()
    }

    /// The last event of a stream that was deleted.
    fn farewell(&self) -> Bytes {
        let mut events = BytesMut::new();
        let next = self.reader.offset_before(self.waiting.len());
        control_event(&mut events, &Control { next, cursor: None, up_to_date: false, closed: false, deleted: true });
        events.freeze()
    }
}
