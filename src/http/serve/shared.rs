//! A connection that is shared with hyper and taken back for a live response.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Method, Version};
use axum::response::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::live::{Live, Source};
use super::stalled::Stalled;
use crate::sync::lock;

/// A shared connection: hyper reads and writes on one clone, another takes the connection back.
pub(super) struct SharedConnection<S>(Arc<Mutex<State<S>>>);

struct State<S> {
    connection: Option<S>,
    /// True if everything hyper had to send is written.
    flushed: bool,
    incoming: Incoming,
    live: Option<Source>,
}

/// State of the incoming half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Incoming {
    /// hyper waits for bytes, and notices the end itself.
    Awaited,
    /// Bytes have arrived that hyper has not read.
    Unread,
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
            flushed: false,
            incoming: Incoming::Unknown,
            live: None,
        })))
    }

    /// Keeps the source of a live response that can be sent in chunks. It is then the last response of the connection.
    pub(super) fn keep_live(&self, method: &Method, version: Version, response: &mut Response) {
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

impl SharedConnection<Stalled<TcpStream>> {
    /// Sets `SO_LINGER` to 0. Does nothing once the connection is taken back.
    pub(super) fn set_zero_linger(&self) -> io::Result<()> {
        lock(&self.0).connection.as_ref().map_or(Ok(()), |connection| connection.inner().set_zero_linger())
    }

    /// Undoes [`SharedConnection::set_zero_linger`].
    #[allow(deprecated, reason = "only a time to linger blocks the thread that drops the socket, and none is set")]
    pub(super) fn unset_linger(&self) -> io::Result<()> {
        lock(&self.0).connection.as_ref().map_or(Ok(()), |connection| connection.inner().set_linger(None))
    }

    /// Returns an error once the client is gone while its request is being answered. hyper could detect this, too, but
    /// would allocate 8 KiB to read into for every request.
    pub(super) fn poll_disconnect(&self, context: &mut Context<'_>) -> Poll<io::Error> {
        let State { connection, incoming, .. } = &mut *lock(&self.0);
        let Some(connection) = connection.as_ref().filter(|_| *incoming == Incoming::Unknown) else {
            return Poll::Pending;
        };
        match ready!(connection.inner().poll_peek(context, &mut ReadBuf::new(&mut [0]))) {
            Ok(0) => Poll::Ready(io::Error::new(io::ErrorKind::UnexpectedEof, "the client closed the connection")),
            Ok(_) => {
                *incoming = Incoming::Unread;
                Poll::Pending
            }
            Err(error) => Poll::Ready(error),
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
