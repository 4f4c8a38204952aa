//! The connection below HTTP: TCP, TLS over TCP, or a Unix socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

#[cfg(feature = "tls")]
use super::tls::TlsConnection;

/// An accepted connection.
pub(super) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsConnection>),
}

impl Transport {
    /// Reads into `into` what has arrived, and leaves it to be read again. Nothing is read at the end of the client's side. Over
    /// TLS it is one byte at most.
    pub(super) fn poll_peek(&mut self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => stream.poll_peek(context, into),
            Self::Unix(stream) => loop {
                ready!(stream.poll_read_ready(context))?;
                let buffer = into.initialize_unfilled();
                let peek = || Ok(rustix::net::recv(&*stream, &mut *buffer, RecvFlags::PEEK)?.1);
                match stream.try_io(Interest::READABLE, peek) {
                    Ok(bytes) => {
                        into.advance(bytes);
                        return Poll::Ready(Ok(bytes));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            },
            #[cfg(feature = "tls")]
            Self::Tls(connection) => connection.poll_peek(context, into),
        }
    }

    /// Sends a client that has closed its side something that is not part of an answer, to find out if it is there. Errors: it
    /// is not. A client that has ended TLS, and waited for long, is taken for one that is gone.
    pub(super) fn try_probe(&self, probe: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(probe),
            Self::Unix(stream) => stream.try_write(probe),
            #[cfg(feature = "tls")]
            Self::Tls(_) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the other end has closed its side")),
        }
    }

    /// Returns and clears the error of the socket.
    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Tcp(stream) => stream.take_error(),
            Self::Unix(stream) => stream.take_error(),
            #[cfg(feature = "tls")]
            Self::Tls(connection) => connection.socket().take_error(),
        }
    }

    /// Returns the socket of a TCP connection, also below TLS.
    pub(super) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Unix(_) => None,
            #[cfg(feature = "tls")]
            Self::Tls(connection) => Some(connection.socket()),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, into),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, into),
            #[cfg(feature = "tls")]
            Self::Tls(connection) => Pin::new(connection).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(feature = "tls")]
            Self::Tls(connection) => Pin::new(connection).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            #[cfg(feature = "tls")]
            Self::Tls(connection) => Pin::new(connection).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(feature = "tls")]
            Self::Tls(connection) => Pin::new(connection).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(feature = "tls")]
            Self::Tls(connection) => Pin::new(connection).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn peek(transport: &mut Transport) -> Vec<u8> {
        let mut bytes = [0; 8];
        let mut into = ReadBuf::new(&mut bytes);
        poll_fn(|context| transport.poll_peek(context, &mut into)).await.unwrap();
        into.filled().to_vec()
    }

    #[tokio::test]
    async fn what_was_peeked_at_on_a_unix_socket_can_be_read() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let mut transport = Transport::Unix(server);
        client.write_all(b"bytes").await.unwrap();
        assert_eq!(peek(&mut transport).await, b"bytes");
        assert_eq!(peek(&mut transport).await, b"bytes");
        let mut read = [0; 5];
        transport.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"bytes");
        client.shutdown().await.unwrap();
        assert_eq!(peek(&mut transport).await, b"");
        assert_eq!(transport.try_probe(b"probe").unwrap(), 5);
        drop(client);
        assert!(transport.try_probe(b"probe").is_err());
    }
}
