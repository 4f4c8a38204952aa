//! A connection that is lent to hyper, and taken back when an answer is live.

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

/// Both ends of a loan: hyper reads and writes on one clone, the other takes the connection back.
pub(super) struct Line<S>(Arc<Mutex<Loan<S>>>);

struct Loan<S> {
    connection: Option<S>,
    /// Whether everything is sent that hyper had to send.
    flushed: bool,
    incoming: Incoming,
    live: Option<Source>,
}

/// What is known of what the other end sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Incoming {
    /// hyper waits for it, and sees by itself when there will be no more.
    Awaited,
    /// Something is there, for when hyper wants it.
    Unread,
    Unknown,
}

impl<S> Clone for Line<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Line<S> {
    pub(super) fn new(connection: S) -> Self {
        Self(Arc::new(Mutex::new(Loan {
            connection: Some(connection),
            flushed: false,
            incoming: Incoming::Unknown,
            live: None,
        })))
    }

    /// Keeps the source of an answer that is live, if the answer can be sent in chunks. It is the connection's last then.
    pub(super) fn keep_live(&self, method: &Method, version: Version, response: &mut Response) {
        if version != Version::HTTP_11 || method == Method::HEAD {
            return;
        }
        if let Some(source) = response.extensions_mut().remove::<Live>().and_then(|live| live.take()) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            let mut loan = lock(&self.0);
            // hyper has the head in hand, and flushes when it is written.
            loan.flushed = false;
            loan.live = Some(source);
        }
    }

    /// The connection and what is to be sent on it, once the head of a live answer is sent. hyper has no more to do then.
    pub(super) fn take_back(&self) -> Option<(S, Source)> {
        let mut loan = lock(&self.0);
        if !loan.flushed {
            return None;
        }
        let source = loan.live.take()?;
        loan.connection.take().map(|connection| (connection, source))
    }
}

impl Line<Stalled<TcpStream>> {
    /// Why nobody is there any more who wants the answer to the request that is at work; pending for as long as nothing tells
    /// so. hyper could look for this, too, but would make room for 8 KiB to read into, for each request anew.
    pub(super) fn poll_gone(&self, context: &mut Context<'_>) -> Poll<io::Error> {
        let Loan { connection, incoming, .. } = &mut *lock(&self.0);
        let Some(connection) = connection.as_ref().filter(|_| *incoming == Incoming::Unknown) else {
            return Poll::Pending;
        };
        match ready!(connection.inner().poll_peek(context, &mut ReadBuf::new(&mut [0]))) {
            Ok(0) => Poll::Ready(io::Error::new(io::ErrorKind::UnexpectedEof, "the other end closed it")),
            Ok(_) => {
                *incoming = Incoming::Unread;
                Poll::Pending
            }
            Err(error) => Poll::Ready(error),
        }
    }
}

impl<S: Unpin> Line<S> {
    fn with<T>(
        &self,
        act: impl FnOnce(Pin<&mut S>, &mut bool, &mut Incoming) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Loan { connection, flushed, incoming, .. } = &mut *lock(&self.0);
        match connection {
            Some(connection) => act(Pin::new(connection), flushed, incoming),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|connection, _, incoming| {
            let outcome = connection.poll_read(context, into);
            *incoming = if outcome.is_pending() { Incoming::Awaited } else { Incoming::Unknown };
            outcome
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
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
