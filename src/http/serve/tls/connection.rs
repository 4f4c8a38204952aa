//! A TLS connection of a listener, whose next byte can be looked at.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::names;
use crate::http::serve::identity::PeerIdentity;

/// A connection whose handshake is complete.
pub(in crate::http::serve) struct TlsConnection {
    stream: TlsStream<TcpStream>,
    /// The byte that was looked at, and is the next to be read.
    peeked: Option<u8>,
}

impl TlsConnection {
    /// Performs the handshake. Cancel-safe: a dropped call closes the connection. Errors: the client's end, or what it sent, is not
    /// accepted.
    pub(in crate::http::serve) async fn accept(socket: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let stream = TlsAcceptor::from(config).accept(socket).await?;
        Ok(Self { stream, peeked: None })
    }

    /// Returns true if both ends have agreed on HTTP/2.
    pub(in crate::http::serve) fn is_http2(&self) -> bool {
        self.stream.get_ref().1.alpn_protocol() == Some(b"h2")
    }

    /// Returns the names in the client's certificate; `None` if it has not shown one. rustls has verified it.
    pub(in crate::http::serve) fn identity(&self) -> Option<PeerIdentity> {
        let certificate = self.stream.get_ref().1.peer_certificates()?.first()?;
        Some(PeerIdentity::Certificate(Arc::new(names(certificate)?)))
    }

    pub(in crate::http::serve) fn socket(&self) -> &TcpStream {
        self.stream.get_ref().0
    }

    /// Looks at the next byte. Nothing is read at the end of the client's side.
    pub(in crate::http::serve) fn poll_peek(
        &mut self,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.peeked.is_none() {
            let mut byte = [0];
            let mut one = ReadBuf::new(&mut byte);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut one))?;
            self.peeked = one.filled().first().copied();
        }
        let found = self.peeked.as_slice();
        into.put_slice(found);
        Poll::Ready(Ok(found.len()))
    }
}

impl AsyncRead for TlsConnection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if into.remaining() > 0
            && let Some(byte) = self.peeked.take()
        {
            into.put_slice(&[byte]);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for TlsConnection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
