//! A connection that is lent to hyper, and taken back when an answer is live.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Version};
use axum::response::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::live::{Live, Source};

/// Both ends of a loan: hyper reads and writes on one clone, the other takes the connection back.
pub(super) struct Line<S>(Arc<Mutex<Loan<S>>>);

struct Loan<S> {
    connection: Option<S>,
    /// Whether everything is sent that hyper had to send.
    flushed: bool,
    live: Option<Source>,
}

impl<S> Clone for Line<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Line<S> {
    pub(super) fn new(connection: S) -> Self {
        Self(Arc::new(Mutex::new(Loan { connection: Some(connection), flushed: false, live: None })))
    }

    /// Keeps the source of an answer that is live, if the answer can be sent in chunks. It is the connection's last then.
    pub(super) fn keep_live(&self, version: Version, response: &mut Response) {
        if version != Version::HTTP_11 {
            return;
        }
        if let Some(source) = response.extensions_mut().remove::<Live>().and_then(|live| live.take()) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            let mut loan = self.loan();
            // hyper has the head in hand, and flushes when it is written.
            loan.flushed = false;
            loan.live = Some(source);
        }
    }

    /// The connection and what is to be sent on it, once the head of a live answer is sent. hyper has no more to do then.
    pub(super) fn take_back(&self) -> Option<(S, Source)> {
        let mut loan = self.loan();
        if !loan.flushed {
            return None;
        }
        let source = loan.live.take()?;
        loan.connection.take().map(|connection| (connection, source))
    }

    // What is behind the lock is whole between any two lines, so a panic elsewhere leaves it usable.
    fn loan(&self) -> MutexGuard<'_, Loan<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Unpin> Line<S> {
    fn with<T>(&self, act: impl FnOnce(Pin<&mut S>, &mut bool) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Loan { connection, flushed, .. } = &mut *self.loan();
        match connection {
            Some(connection) => act(Pin::new(connection), flushed),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|connection, _| connection.poll_read(context, into))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|connection, flushed| {
            *flushed = false;
            connection.poll_write(context, bytes)
        })
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|connection, flushed| {
            let outcome = connection.poll_flush(context);
            *flushed |= outcome.is_ready();
            outcome
        })
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|connection, _| connection.poll_shutdown(context))
    }
}
