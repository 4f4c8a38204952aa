//! The part of a request's body that its handler leaves unread. The server reads and discards it after the answer, so that
//! a client that is still sending gets the answer instead of a reset, and the connection can be used again. RFC 9112 9.6.

use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::header::{CONNECTION, EXPECT};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, Sleep};

use crate::http::body::UploadError;
use crate::memory::Budget;
use crate::sync::lock;

/// Bytes of a body that are discarded; then the connection is closed.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Time for which a body is discarded; then the connection is closed.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Time without a byte of the body after which the connection is closed.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Bytes of a body that do not count towards the budget of its listener.
const UNCOUNTED_BYTES_MAX: usize = 4 * 1024;

/// The unread body of the request that a connection is busy with.
#[derive(Clone)]
pub(super) struct Unread(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// The bodies that all connections of the listener are reading.
    bodies: Budget,
}

#[derive(Default)]
enum State {
    /// Nothing is left: the body has been read, or its reader still has it.
    #[default]
    Nothing,
    /// The handler is done with the body, and the request is not answered yet.
    Left(Rest),
    /// The request is answered, and the rest is discarded.
    Discarding(Discarding),
    /// The request is answered, and a body that its reader drops now is not discarded.
    Answered,
}

struct Rest {
    body: Incoming,
    /// True if the client waits for a `100 Continue`, which it has not got.
    is_awaited: bool,
}

struct Discarding {
    body: Incoming,
    bytes_left: u64,
    ends_at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Unread {
    /// Creates the state of a connection whose bodies are part of a budget, and its clone for the end that discards.
    pub(super) fn pair(bodies: Budget) -> (Self, Self) {
        let unread = Self(Arc::new(Shared { state: Mutex::default(), bodies }));
        (unread.clone(), unread)
    }

    /// Begins a request. Returns it with a body that hands what is left of it to `self`.
    pub(super) fn begin(&self, request: Request<Incoming>) -> Request<Body> {
        let is_awaited = request.headers().contains_key(EXPECT);
        request.map(|body| {
            if body.is_end_stream() {
                return Body::empty();
            }
            *lock(&self.0.state) = State::Nothing;
            let unread = self.clone();
            Body::new(Upload { body: Some(body), is_awaited, unread, arrived_bytes: 0, counted_bytes: 0 })
        })
    }

    /// Begins to discard the rest of the body that `response` answers. A client that cannot know if it still has to send the
    /// rest, and one whose rest is too long, is announced the end of the connection.
    pub(super) fn answered(&self, response: &mut Response) {
        let mut state = lock(&self.0.state);
        let State::Left(Rest { body, is_awaited }) = mem::replace(&mut *state, State::Answered) else { return };
        let is_late = response.status() == StatusCode::REQUEST_TIMEOUT;
        if is_late || is_awaited || body.size_hint().lower() > BYTES_MAX {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if is_late {
            return;
        }
        let now = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(now + SILENCE_MAX));
        *state = State::Discarding(Discarding { body, bytes_left: BYTES_MAX, ends_at: now + TIME_MAX, timer });
    }

    /// Discards what has arrived. At the bounds the rest is dropped, which makes hyper close the connection.
    pub(super) fn poll_discard(&self, context: &mut Context<'_>) {
        let mut state = lock(&self.0.state);
        if let State::Discarding(discarding) = &mut *state
            && discarding.poll(context).is_ready()
        {
            *state = State::Answered;
        }
    }
}

impl Discarding {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => return self.timer.as_mut().poll(context),
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(()),
            };
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            let Some(bytes_left) = self.bytes_left.checked_sub(bytes) else { return Poll::Ready(()) };
            self.bytes_left = bytes_left;
            self.timer.as_mut().reset(self.ends_at.min(Instant::now() + SILENCE_MAX));
        }
    }
}

/// The body of a request. What has arrived is part of the listener's budget until it is dropped; what is left of it then stays
/// with the connection.
struct Upload {
    /// `None` after the end.
    body: Option<Incoming>,
    is_awaited: bool,
    unread: Unread,
    arrived_bytes: usize,
    counted_bytes: usize,
}

impl Upload {
    /// Counts bytes that have arrived. Errors: [`UploadError::Full`].
    fn count(&mut self, bytes: usize) -> Result<(), UploadError> {
        self.arrived_bytes += bytes;
        if self.arrived_bytes <= UNCOUNTED_BYTES_MAX {
            return Ok(());
        }
        let bodies = &self.unread.0.bodies;
        let more = self.arrived_bytes - self.counted_bytes;
        if !bodies.take(more) {
            return Err(UploadError::Full { bytes_max: bodies.bytes_max() });
        }
        self.counted_bytes += more;
        Ok(())
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        this.is_awaited = false;
        let frame = ready!(Pin::new(body).poll_frame(context));
        match frame {
            Some(Ok(frame)) => {
                let counted = this.count(frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(counted.map(|()| frame)))
            }
            Some(Err(error)) => {
                this.body = None;
                Poll::Ready(Some(Err(UploadError::Broken(error))))
            }
            None => {
                this.body = None;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.counted_bytes > 0 {
            self.unread.0.bodies.give_back(self.counted_bytes);
        }
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        let mut state = lock(&self.unread.0.state);
        if matches!(*state, State::Nothing) {
            *state = State::Left(Rest { body, is_awaited: self.is_awaited });
        }
    }
}

/// Reads and discards what a client still sends after an answer that hyper gave itself, until the client closes its side
/// or a bound is reached. Cancel-safe.
pub(super) async fn discard(mut connection: impl AsyncRead + Unpin) {
    let (mut ignored, mut bytes_left, ends_at) = (vec![0; 8 * 1024], BYTES_MAX, Instant::now() + TIME_MAX);
    loop {
        let until = ends_at.min(Instant::now() + SILENCE_MAX);
        let Ok(Ok(bytes @ 1..)) = tokio::time::timeout_at(until, connection.read(&mut ignored)).await else { return };
        let Some(left) = bytes_left.checked_sub(bytes as u64) else { return };
        bytes_left = left;
    }
}
