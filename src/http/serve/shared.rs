//! A connection that is shared with hyper and taken back for a live response.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Method, Version};
use axum::response::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::live::{Live, Source};
use super::stalled::Stalled;
use super::transport::Transport;
use crate::sync::lock;

/// Time after the end of the client's side in which most answers are ready; then the client is probed.
const PATIENCE: Duration = Duration::from_secs(3);

/// Time in which a client that is gone refuses what the probe sent; then it is looked for again.
const REFUSAL_TIME: Duration = Duration::from_millis(500);

/// An interim response, which every client expects at any time before an answer. RFC 9110 15.2.
const PROBE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A shared connection: hyper reads and writes on one clone, another takes the connection back.
pub(super) struct SharedConnection<S>(Arc<Mutex<State<S>>>);

struct State<S> {
    connection: Option<S>,
    /// True if everything hyper had to send is written.
    flushed: bool,
    incoming: Incoming,
    live: Option<Source>,
    /// The version of the request whose answer is being made.
    answering: Option<Version>,
    /// Set if the client has closed its side before it was answered.
    half_closed: Option<HalfClosed>,
}

/// A client that has closed its side: it waits for the answer, or it is gone. Only sending it something shows which.
struct HalfClosed {
    timer: Pin<Box<Sleep>>,
    is_probed: bool,
}

/// State of the incoming half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Incoming {
    /// hyper waits for bytes, and notices the end itself.
    Awaited,
    /// Bytes have arrived that hyper has not read.
    Unread,
    /// The client has closed its side, which hyper has not noticed.
    Ended,
    Unknown,
}

impl<S> Clone for SharedConnection<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> SharedConnection<S> {
    pub(super) fn new(connection: S) -> Self {
        Self(Arc::new(Mutex::new(State {
            connection: Some(connection),
            flushed: true,
            incoming: Incoming::Unknown,
            live: None,
            answering: None,
            half_closed: None,
        })))
    }

    /// Records that a request is being answered.
    pub(super) fn begin_answer(&self, version: Version) {
        lock(&self.0).answering = Some(version);
    }

    /// Records that the answer is made. Keeps the source of a live response that can be sent in chunks: it is then the last
    /// response of the connection.
    pub(super) fn end_answer(&self, method: &Method, version: Version, response: &mut Response) {
        lock(&self.0).answering = None;
        if version != Version::HTTP_11 || method == Method::HEAD {
            return;
        }
        if let Some(source) = response.extensions_mut().remove::<Live>().and_then(|live| live.take()) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            let mut state = lock(&self.0);
            // hyper still has to write the head, and flushes afterwards.
            state.flushed = false;
            state.live = Some(source);
        }
    }

    /// Takes the connection and the source, once the head of a live response is written.
    pub(super) fn take_back(&self) -> Option<(S, Source)> {
        let mut state = lock(&self.0);
        if !state.flushed {
            return None;
        }
        let source = state.live.take()?;
        state.connection.take().map(|connection| (connection, source))
    }
}

impl SharedConnection<Stalled<Transport>> {
    /// Sets `SO_LINGER` to 0. Does nothing once the connection is taken back, and on a Unix socket, which does not linger.
    pub(super) fn set_zero_linger(&self) -> io::Result<()> {
        let state = lock(&self.0);
        let socket = state.connection.as_ref().and_then(|connection| connection.inner().tcp());
        socket.map_or(Ok(()), tokio::net::TcpStream::set_zero_linger)
    }

    /// Undoes [`SharedConnection::set_zero_linger`].
    #[allow(deprecated, reason = "only a time to linger blocks the thread that drops the socket, and none is set")]
    pub(super) fn unset_linger(&self) -> io::Result<()> {
        let state = lock(&self.0);
        let socket = state.connection.as_ref().and_then(|connection| connection.inner().tcp());
        socket.map_or(Ok(()), |socket| socket.set_linger(None))
    }

    /// Returns an error once the client is gone while its request is being answered. hyper could detect this, too, but
    /// would allocate 8 KiB to read into for every request.
    pub(super) fn poll_disconnect(&self, context: &mut Context<'_>) -> Poll<io::Error> {
        let state = &mut *lock(&self.0);
        let Some(connection) = &mut state.connection else { return Poll::Pending };
        if state.incoming == Incoming::Unknown {
            match ready!(connection.inner_mut().poll_peek(context, &mut ReadBuf::new(&mut [0]))) {
                Ok(0) => {
                    state.incoming = Incoming::Ended;
                    let timer = Box::pin(tokio::time::sleep(PATIENCE));
                    state.half_closed.get_or_insert(HalfClosed { timer, is_probed: false });
                }
                Ok(_) => state.incoming = Incoming::Unread,
                Err(error) => return Poll::Ready(error),
            }
        }
        match &mut state.half_closed {
            // Once an answer is being written, that shows if anybody takes it.
            Some(half_closed) if state.answering == Some(Version::HTTP_11) && state.flushed => {
                half_closed.poll_gone(connection.inner(), context)
            }
            Some(_) | None => Poll::Pending,
        }
    }
}

impl HalfClosed {
    /// Returns an error once the system at the client's end has refused what was sent.
    fn poll_gone(&mut self, connection: &Transport, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            match self.is_probed {
                false => match connection.try_probe(PROBE) {
                    Ok(bytes) if bytes == PROBE.len() => self.is_probed = true,
                    Ok(_) => return Poll::Ready(io::ErrorKind::WriteZero.into()),
                    Err(error) => return Poll::Ready(error),
                },
                true => match connection.take_error() {
                    Ok(None) => {}
                    Ok(Some(error)) | Err(error) => return Poll::Ready(error),
                },
            }
            self.timer.as_mut().reset(Instant::now() + REFUSAL_TIME);
        }
    }
}

impl<S: Unpin> SharedConnection<S> {
    fn with<T>(
        &self,
        act: impl FnOnce(Pin<&mut S>, &mut bool, &mut Incoming) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let State { connection, flushed, incoming, .. } = &mut *lock(&self.0);
        match connection {
            Some(connection) => act(Pin::new(connection), flushed, incoming),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SharedConnection<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|connection, _, incoming| {
            let outcome = connection.poll_read(context, into);
            *incoming = if outcome.is_pending() { Incoming::Awaited } else { Incoming::Unknown };
            outcome
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SharedConnection<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|connection, flushed, _| {
            *flushed = false;
            connection.poll_write(context, bytes)
        })
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|connection, flushed, _| {
            let outcome = connection.poll_flush(context);
            *flushed |= outcome.is_ready();
            outcome
        })
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|connection, _, _| connection.poll_shutdown(context))
    }
}
