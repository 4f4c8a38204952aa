//! The HTTP/1.1 server of every listener, with a limit on connections, a deadline for headers, and a drain.
//!
//! It uses hyper directly because `axum::serve` has neither a header deadline nor a connection limit.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answering::Answers;
use super::authorized::Authorized;
use super::connection::serve_connection;
use super::descriptors::{Admission, Descriptors, ReadyWithDescriptors};
use super::guarded::Guarded;
use super::metrics::{Counted, ListenerMetrics};
use super::permit::ConnectionPermit;
use super::stalled::Stalled;
use super::timer::ConnectionTimer;
use super::workers::Workers;
use crate::http::Limits;
use crate::http::access::{Access, Authorizer, Reach};
use crate::log_limit::LogLimit;
use crate::memory::Budget;

/// Smallest buffer of a connection that hyper accepts.
const BUFFER_BYTES_MIN: usize = 8 * 1024;

/// Bounds of the pause after a failed accept.
const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(20);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// A listener could not be opened. The message is one line that names the address and the option that sets it.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The text is not `host:port`.
    #[error(
        "cannot listen on {address:?}: expected HOST:PORT such as 127.0.0.1:4000 (port 0 takes a free one); set it with {option}"
    )]
    NotAnAddress {
        /// The way to choose another address, such as `--listen HOST:PORT`.
        option: &'static str,
        /// The configured address.
        address: String,
    },
    /// Another process listens there.
    #[error("port {port} is already in use; is another `exorelay` running? Choose another with {option}")]
    InUse {
        /// The way to choose another address, such as `--listen HOST:PORT`.
        option: &'static str,
        /// The configured address.
        address: String,
        /// The port that is taken.
        port: u16,
    },
    /// The system does not allow it, or the host is not one of this machine.
    #[error("cannot listen on {address}; choose another address with {option}")]
    System {
        /// The way to choose another address, such as `--listen HOST:PORT`.
        option: &'static str,
        /// The configured address.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// A bound listener that does not accept connections yet.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    counted: Option<Counted>,
    access: Option<Arc<Access>>,
    authorizer: Option<Authorizer>,
}

impl Listening {
    /// Binds `address`. `option` is the way to choose another one, such as `--listen HOST:PORT`, for error messages.
    /// Cancel-safe: a dropped call binds nothing.
    pub async fn bind(option: &'static str, address: &str) -> Result<Self, BindError> {
        let port =
            address.rsplit_once(':').and_then(|(host, port)| port.parse::<u16>().ok().filter(|_| !host.is_empty()));
        let address = address.to_owned();
        let Some(port) = port else { return Err(BindError::NotAnAddress { option, address }) };
        let opened = async {
            let listener = TcpListener::bind(&address).await?;
            let local = listener.local_addr()?;
            Ok(Self { listener, address: local, counted: None, access: None, authorizer: None })
        };
        opened.await.map_err(|source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { option, address, port },
            _ => BindError::System { option, address, source },
        })
    }

    /// Returns the bound address, with the real port even if 0 was requested.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Counts its connections and requests in `metrics`, under this name.
    pub(crate) fn counted(mut self, metrics: &ListenerMetrics, name: &'static str) -> Self {
        self.counted = Some(metrics.of(name));
        self
    }

    /// Decides by `access` which requests are answered. Without it the listener is for programs only: it refuses web pages, and
    /// on a loopback address hosts that are neither of this machine nor in `Limits::hosts`.
    pub fn guarded(mut self, access: Arc<Access>) -> Self {
        self.access = Some(access);
        self
    }

    /// Adds the rights of its caller to each request; `None` allows everyone everything.
    pub(crate) fn authorized(mut self, authorizer: Option<Authorizer>) -> Self {
        self.authorizer = authorizer;
        self
    }

    /// Starts serving `answers` on the current runtime.
    pub fn serve(self, answers: impl Answers, limits: &Limits) -> Serving {
        self.serve_at(None, answers, limits)
    }

    /// Starts serving `answers` on the threads of `workers`; connections are accepted on the current runtime.
    pub fn serve_with(self, workers: Workers, answers: impl Answers, limits: &Limits) -> Serving {
        self.serve_at(Some(workers), answers, limits)
    }

    fn serve_at(self, workers: Option<Workers>, answers: impl Answers, limits: &Limits) -> Serving {
        let stop = CancellationToken::new();
        let connections = TaskTracker::new();
        if let Some(counted) = &self.counted {
            counted.limited(limits.connections_max);
        }
        let access = self.access.unwrap_or_else(|| Access::of_programs(limits));
        let answers = Authorized::new(self.authorizer, ReadyWithDescriptors::new(answers));
        let answers = Guarded::new(access, Reach::of(self.address.ip()), answers);
        let accepting = Accepting {
            counted: self.counted,
            answers: Arc::new(answers),
            descriptors: Descriptors::of_process(),
            lines: LogLimit::new(),
            workers: workers.as_ref().map(Workers::share),
            http: http_of(limits),
            bodies: Budget::new(limits.bodies_bytes_max),
            write_timeout: Duration::from_millis(limits.write_timeout_ms),
            stop: stop.clone(),
            connections: connections.clone(),
        };
        let port_closed = CancellationToken::new();
        let closed = port_closed.clone();
        let accepted = accepting.run(self.listener, limits.connections_max);
        connections.spawn(async move {
            accepted.await;
            closed.cancel();
        });
        connections.close();
        Serving { address: self.address, stop, port_closed, connections, workers }
    }
}

/// A running listener.
pub struct Serving {
    address: SocketAddr,
    stop: CancellationToken,
    /// Cancelled when the port is closed.
    port_closed: CancellationToken,
    connections: TaskTracker,
    workers: Option<Workers>,
}

impl Serving {
    /// Returns the bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting and closes idle connections, without waiting for either. Stopping twice does nothing.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Stops accepting and closes idle connections, and waits until the port is closed: clients that connect from then on
    /// are refused by the system. Cancel-safe: the port closes all the same.
    pub async fn close_port(&self) {
        self.stop();
        self.port_closed.cancelled().await;
    }

    /// Stops accepting, lets requests that have begun finish for at most `grace`, then closes what is left.
    /// Returns true if everything finished in time. After a dropped call requests that have
    /// begun go on, unless worker threads serve them.
    pub async fn drain(self, grace: Duration) -> bool {
        self.stop();
        let finished = tokio::time::timeout(grace, self.connections.wait()).await.is_ok();
        drop(self.workers);
        finished
    }
}

fn http_of(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.header_read_timeout(Duration::from_millis(limits.header_timeout_ms));
    http.max_header_size(limits.head_bytes_max);
    // Each connection keeps a buffer of this size once it has sent a long body.
    http.max_buf_size(limits.head_bytes_max.max(BUFFER_BYTES_MIN));
    // One write per answer. `pipeline_flush` would do that too, and would hold answers back, the 400 included, for as long
    // as unread bytes follow them.
    http.writev(false);
    // A client that has gone is detected by `SharedConnection::poll_disconnect`.
    http.half_close(true);
    http
}

/// State of the accept loop.
struct Accepting {
    counted: Option<Counted>,
    answers: Arc<dyn Answers>,
    descriptors: Descriptors,
    lines: LogLimit,
    workers: Option<Workers>,
    http: http1::Builder,
    /// The bodies and frames that all connections are reading.
    bodies: Budget,
    write_timeout: Duration,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl Accepting {
    /// Accepts connections until it is stopped.
    async fn run(self, listener: TcpListener, connections_max: usize) {
        let permits = Arc::new(Semaphore::new(connections_max));
        let mut pause = ACCEPT_PAUSE_MIN;
        loop {
            let next = async {
                let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        let admission = self.descriptors.admit(&stream).await;
                        Some(Ok((stream, peer, (permit, admission))))
                    }
                    Err(error) => Some(Err(error)),
                }
            };
            let accepted = tokio::select! {
                accepted = next => accepted,
                () = self.stop.cancelled() => None,
            };
            match accepted {
                None => return,
                Some(Ok((stream, peer, admitted))) => {
                    pause = ACCEPT_PAUSE_MIN;
                    if let Err(error) = self.begin(stream, peer, admitted)
                        && let Some(left_out) = self.lines.admit()
                    {
                        tracing::warn!(%error, %peer, left_out, "cannot serve a connection");
                    }
                }
                // The client is gone already.
                Some(Err(error)) if is_of_the_connection(&error) => {}
                Some(Err(error)) => {
                    if let Some(left_out) = self.lines.admit() {
                        tracing::warn!(%error, left_out, "cannot accept a connection");
                    }
                    // Out of file descriptors, most likely: waiting is the only cure that does not lose the listener.
                    tokio::select! {
                        () = tokio::time::sleep(pause) => pause = ACCEPT_PAUSE_MAX.min(pause * 2),
                        () = self.stop.cancelled() => return,
                    }
                }
            }
        }
    }

    /// Begins to serve a connection.
    fn begin(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        (permit, admission): (OwnedSemaphorePermit, Admission),
    ) -> io::Result<()> {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "cannot switch off Nagle's algorithm");
        }
        let (stream, slot) = match &self.workers {
            None => (stream, None),
            Some(workers) => workers.assign(stream).map(|(stream, slot)| (stream, Some(slot)))?,
        };
        tracing::debug!(%peer, "connection accepted");
        let stream = Stalled::new(stream, self.write_timeout);
        let permit = ConnectionPermit::new(permit, slot, self.counted.as_ref().map(Counted::connected));
        let tasks = (self.stop.clone(), self.connections.clone(), self.bodies.clone());
        let mut http = self.http.clone();
        let answers = admission.limit(&mut http, &self.answers);
        let served = (peer, permit.clone(), self.counted.clone());
        http.timer(ConnectionTimer::new());
        let serving = serve_connection(stream, served, http, answers, tasks);
        permit.spawn(&self.connections, serving);
        Ok(())
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
