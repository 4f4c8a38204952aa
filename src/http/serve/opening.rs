//! The beginning of a connection: its TLS handshake, and the version of HTTP that the client speaks.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use tokio::io::ReadBuf;
#[cfg(feature = "tls")]
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout_at};

use super::identity::PeerIdentity;
use super::tls::ServerTls;
use super::transport::Transport;

/// Time for the TLS handshake; the timeout for headers if that is shorter.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The first bytes of every HTTP/2 connection. RFC 9113 3.4. No method of HTTP/1 begins like it.
const PREFACE: &[u8] = b"PRI ";

/// Pause before the rest of a beginning that came in pieces is looked for.
const PIECE_PAUSE: Duration = Duration::from_millis(10);

/// The answer to plain HTTP where TLS is expected.
#[cfg(feature = "tls")]
const HINT: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: 45\r\n\r\n\
                      This port speaks TLS: use https:// or wss://\n";

/// A socket as it was accepted.
pub(super) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Accepted {
    /// Moves the socket to the I/O driver of another runtime. Errors: those of the system.
    pub(super) fn moved(self, to: &Handle) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => {
                let stream = stream.into_std()?;
                let _poll = to.enter();
                TcpStream::from_std(stream).map(Self::Tcp)
            }
            Self::Unix(stream) => {
                let stream = stream.into_std()?;
                let _poll = to.enter();
                UnixStream::from_std(stream).map(Self::Unix)
            }
        }
    }
}

impl AsRawFd for Accepted {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

/// The version of HTTP on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A connection that requests can be read from.
pub(super) struct Opened {
    pub(super) transport: Transport,
    pub(super) protocol: Protocol,
    pub(super) identity: Option<PeerIdentity>,
}

/// Opens a connection within `header_timeout`; with TLS if there is `tls`. Errors: the handshake fails, the client closes the
/// connection or sends nothing in time. Cancel-safe: a dropped call closes the connection.
pub(super) async fn open(accepted: Accepted, tls: Option<ServerTls>, header_timeout: Duration) -> io::Result<Opened> {
    let deadline = Instant::now() + header_timeout;
    let silent = || io::Error::new(io::ErrorKind::TimedOut, "the other end sent nothing in time");
    let (mut transport, identity) = match (accepted, tls) {
        (Accepted::Unix(stream), _) => {
            let identity = PeerIdentity::of_socket(&stream);
            (Transport::Unix(stream), identity)
        }
        (Accepted::Tcp(stream), None) => (Transport::Tcp(stream), None),
        #[cfg(feature = "tls")]
        (Accepted::Tcp(stream), Some(tls)) => {
            // Boxed, so that plain connections do not hold the room for it.
            let handshake = Box::pin(shake_hands(stream, tls));
            let by = Instant::now() + HANDSHAKE_TIMEOUT.min(header_timeout);
            return timeout_at(by, handshake).await.map_err(|_| silent())?;
        }
        #[cfg(not(feature = "tls"))]
        (Accepted::Tcp(_), Some(_)) => return Err(silent()),
    };
    let protocol = timeout_at(deadline, protocol(&mut transport)).await.map_err(|_| silent())??;
    Ok(Opened { transport, protocol, identity })
}

#[cfg(feature = "tls")]
async fn shake_hands(mut stream: TcpStream, tls: ServerTls) -> io::Result<Opened> {
    let mut first = [0];
    let mut into = ReadBuf::new(&mut first);
    poll_fn(|context| stream.poll_peek(context, &mut into)).await?;
    // A record of TLS begins with a number below the letters.
    if first[0].is_ascii_alphabetic() {
        stream.write_all(HINT).await?;
        stream.shutdown().await?;
        discard(&mut stream).await;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "plain HTTP where TLS is expected"));
    }
    let connection = super::tls::TlsConnection::accept(stream, tls.current()).await?;
    let protocol = if connection.is_http2() { Protocol::Http2 } else { Protocol::Http1 };
    let identity = connection.identity();
    Ok(Opened { transport: Transport::Tls(Box::new(connection)), protocol, identity })
}

/// Reads the beginning of what the client has sent, so that it gets the hint and no reset.
#[cfg(feature = "tls")]
async fn discard(stream: &mut (impl AsyncRead + Unpin)) {
    let mut ignored = vec![0; 16 * 1024];
    while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
}

/// Waits for the first bytes and returns the protocol that they belong to. Cancel-safe: the bytes stay to be read.
async fn protocol(transport: &mut Transport) -> io::Result<Protocol> {
    loop {
        let mut bytes = [0; PREFACE.len()];
        let mut seen = ReadBuf::new(&mut bytes);
        poll_fn(|context| transport.poll_peek(context, &mut seen)).await?;
        match seen.filled() {
            // The client is gone, which the server of HTTP/1 handles.
            [] => return Ok(Protocol::Http1),
            PREFACE => return Ok(Protocol::Http2),
            seen if PREFACE.starts_with(seen) => sleep(PIECE_PAUSE).await,
            _ => return Ok(Protocol::Http1),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn check(pieces: &[&str], expected: Protocol) {
        let (mut client, server) = UnixStream::pair().unwrap();
        let opening = tokio::spawn(open(Accepted::Unix(server), None, Duration::from_secs(5)));
        for piece in pieces {
            client.write_all(piece.as_bytes()).await.unwrap();
            sleep(PIECE_PAUSE * 2).await;
        }
        drop(client);
        let opened = opening.await.unwrap().unwrap();
        assert_eq!(opened.protocol, expected, "{pieces:?}");
        assert!(matches!(opened.identity, Some(PeerIdentity::Process(process)) if process.pid.is_some()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_bytes_show_the_protocol() {
        check(&["PRI * HTTP/2.0\r\n\r\n"], Protocol::Http2).await;
        check(&["PR", "I", " * HTTP/2.0"], Protocol::Http2).await;
        check(&["P", "OST / HTTP/1.1"], Protocol::Http1).await;
        check(&["PRIVATE / HTTP/1.1"], Protocol::Http1).await;
        check(&["GET / HTTP/1.1"], Protocol::Http1).await;
        check(&[], Protocol::Http1).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_not_waited_for() {
        for beginning in ["", "PR"] {
            let (mut client, server) = UnixStream::pair().unwrap();
            client.write_all(beginning.as_bytes()).await.unwrap();
            let began = Instant::now();
            let opened = open(Accepted::Unix(server), None, Duration::from_secs(5)).await;
            assert_eq!(opened.err().map(|error| error.kind()), Some(io::ErrorKind::TimedOut));
            assert!(began.elapsed() < Duration::from_secs(6));
        }
    }
}
