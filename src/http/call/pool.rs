//! Connections to plain HTTP servers: opened when needed, kept open for the next call.
//!
//! Built on hyper's connections: hyper-util's pooled client costs 10 to 25 % more CPU per call, which matters for the two
//! frequent calls (relay to bus, webhook to service).

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use axum::http::uri::Authority;
use axum::http::{Request, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::error::{ClientError, innermost};
use super::guard::SsrfGuard;
use super::idle::{Fitness, IdleConnections};
use crate::sync::lock;

/// Delay before the next address of a name is tried in parallel. RFC 8305, section 5.
const HEAD_START: Duration = Duration::from_millis(250);

/// Maximum number of addresses tried per name.
const ADDRESSES_MAX: usize = 8;

/// Interval at which expired connections are dropped.
const SWEEP: Duration = Duration::from_secs(5);

/// The sending end of a connection. Dropping it ends the task that runs the connection, and closes it.
pub(super) type Connection = http1::SendRequest<Full<Bytes>>;

/// Pool of connections. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    idle: Mutex<Idle>,
    connect_timeout: Duration,
    /// The path of the Unix socket that all connections go to, whatever server is called.
    socket: Option<PathBuf>,
    /// Decides which addresses may be connected to.
    guard: Option<SsrfGuard>,
}

struct Idle {
    connections: IdleConnections<Connection>,
    /// True while a task drops expired connections.
    swept: bool,
}

impl Pool {
    /// Without a `guard`, every address may be connected to.
    pub(super) fn new(connect_timeout: Duration, guard: Option<SsrfGuard>) -> Self {
        Self::to(None, connect_timeout, guard)
    }

    /// Creates a pool of connections to a Unix socket.
    pub(super) fn to_socket(path: &Path, connect_timeout: Duration) -> Self {
        Self::to(Some(path.to_owned()), connect_timeout, None)
    }

    fn to(socket: Option<PathBuf>, connect_timeout: Duration, guard: Option<SsrfGuard>) -> Self {
        let idle = Mutex::new(Idle { connections: IdleConnections::new(), swept: false });
        Self(Arc::new(Inner { idle, connect_timeout, socket, guard }))
    }

    /// Returns true if a guard decides which addresses may be connected to.
    pub(super) fn is_guarded(&self) -> bool {
        self.0.guard.is_some()
    }

    /// Sends a request that has an origin-form target and a `Host`. Returns the connection and the head of the response.
    /// Pass the connection to [`Pool::keep`] once the body is read.
    ///
    /// If an idle connection turns out to be closed before the request was written to it, a new one is tried, once.
    /// Errors: [`ClientError::Connect`], [`ClientError::Broken`]. Not cancel-safe; a dropped call closes its connection.
    pub(super) async fn send(
        &self,
        server: &Authority,
        request: Request<Full<Bytes>>,
    ) -> Result<(Connection, Response<Incoming>), ClientError> {
        let broken =
            |error: hyper::Error| ClientError::Broken { authority: server.to_string(), cause: innermost(&error) };
        let request = match self.take(server) {
            None => request,
            Some(mut kept) => match kept.try_send_request(request).await {
                Ok(response) => return Ok((kept, response)),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => unsent,
                    None => return Err(broken(failed.into_error())),
                },
            },
        };
        // Opening is rare; boxed, so that it does not add to the size of every call's future.
        let mut fresh = Box::pin(self.open(server)).await?;
        let response = fresh.send_request(request).await.map_err(broken)?;
        Ok((fresh, response))
    }

    /// Keeps a connection for the next call. Its last response must have been read to the end.
    pub(super) fn keep(&self, server: &Authority, connection: Connection) {
        if connection.is_closed() {
            return;
        }
        let mut idle = lock(&self.0.idle);
        idle.connections.put(server.as_str(), connection, Instant::now());
        if !idle.swept {
            idle.swept = true;
            drop(idle);
            // Ends by itself when no connection is left, or with the last clone of the pool.
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
    }

    fn take(&self, server: &Authority) -> Option<Connection> {
        lock(&self.0.idle).connections.take(server.as_str(), Instant::now(), |connection| {
            if connection.is_ready() {
                return Fitness::Ready;
            }
            if connection.is_closed() { Fitness::Closed } else { Fitness::Busy }
        })
    }

    /// Returns true if `server` has closed every connection kept for it.
    #[cfg(test)]
    pub(super) fn has_only_closed(&self, server: &Authority) -> bool {
        match self.take(server) {
            None => true,
            Some(connection) => {
                self.keep(server, connection);
                false
            }
        }
    }

    async fn open(&self, server: &Authority) -> Result<Connection, ClientError> {
        let failed = |cause: String| ClientError::Connect { authority: server.to_string(), cause };
        let limit = self.0.connect_timeout;
        let opening = async {
            match &self.0.socket {
                Some(path) => {
                    let stream = UnixStream::connect(path).await.map_err(|error| failed(error.to_string()))?;
                    begin(stream).await.map_err(|error| failed(innermost(&error)))
                }
                None => {
                    let connected = connect(server, self.0.guard.as_ref()).await;
                    let stream = connected.map_err(|error| failed(error.to_string()))?;
                    begin(stream).await.map_err(|error| failed(innermost(&error)))
                }
            }
        };
        let opened = tokio::time::timeout(limit, opening).await;
        let connection = opened.map_err(|_| failed(format!("no connection within {} ms", limit.as_millis())))??;
        tracing::debug!(host = server.host(), port = server.port_u16(), "connected");
        Ok(connection)
    }
}

/// Begins HTTP on a stream.
async fn begin(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Connection, hyper::Error> {
    let (connection, running) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends when `connection` is dropped or the other side closes.
    tokio::spawn(async move {
        if let Err(error) = running.await {
            tracing::debug!(%error, "a connection broke");
        }
    });
    Ok(connection)
}

async fn sweep(pool: Weak<Inner>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = lock(&pool.idle);
        if idle.connections.expire(Instant::now()) == 0 {
            idle.swept = false;
            return;
        }
    }
}

async fn connect(server: &Authority, guard: Option<&SsrfGuard>) -> io::Result<TcpStream> {
    let host = server.host().trim_start_matches('[').trim_end_matches(']');
    let port = server.port_u16().unwrap_or(80);
    let addresses: Vec<SocketAddr> = match guard {
        None => tokio::net::lookup_host((host, port)).await?.take(ADDRESSES_MAX).collect(),
        Some(guard) => {
            let allowed = guard.resolve(host, port).await.map_err(io::Error::other)?;
            allowed.into_iter().take(ADDRESSES_MAX).map(|address| SocketAddr::new(address, port)).collect()
        }
    };
    let stream = connect_to_any(addresses.into_iter()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Returns the first connection that opens. The next address is tried after a failure or after [`HEAD_START`].
async fn connect_to_any(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut addresses = addresses.peekable();
    let mut tries = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        tries.extend(addresses.next().map(TcpStream::connect));
        let more = addresses.peek().is_some();
        tokio::select! {
            tried = tries.next() => match tried {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = tokio::time::sleep(HEAD_START), if more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_next_address_is_tried_after_a_refusal() {
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let addresses = [closed, open.local_addr().unwrap()];
        let stream = connect_to_any(addresses.into_iter()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
        assert!(connect_to_any([closed].into_iter()).await.is_err());
        assert!(connect_to_any([].into_iter()).await.is_err());
    }
}
