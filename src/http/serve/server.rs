//! The server of every listener, with limits on connections, a deadline for headers, and a drain.
//!
//! It uses hyper directly because `axum::serve` has neither a header deadline nor a connection limit.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::{Admission, Admitted};
use super::answering::{Answers, Caller, Peer, Scheme};
use super::authorized::Authorized;
use super::bind::{BindError, ListenAddress, Socket, local};
use super::connection::{Settings, serve_connection};
use super::descriptors::ReadyWithDescriptors;
use super::guarded::Guarded;
use super::metrics::{Counted, ListenerMetrics};
use super::opening::Accepted;
use super::permit::ConnectionPermit;
use super::requests::Requests;
use super::timer::ConnectionTimer;
use super::tls::ServerTls;
use super::workers::Workers;
use crate::http::Limits;
use crate::http::access::{Access, Authorizer};
use crate::log_limit::LogLimit;
use crate::memory::Budget;

/// Smallest buffer of a connection that hyper accepts.
const BUFFER_BYTES_MIN: usize = 8 * 1024;

/// Bounds of the pause after a failed accept.
const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(20);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// A bound listener that does not accept connections yet.
pub struct Listening {
    socket: Socket,
    address: ListenAddress,
    counted: Option<Counted>,
    access: Option<Arc<Access>>,
    authorizer: Option<Authorizer>,
    tls: Option<ServerTls>,
}

impl Listening {
    /// Binds `address`. `option` is the way to choose another one, such as `--listen HOST:PORT`, for error messages.
    /// Cancel-safe: a dropped call binds nothing.
    pub async fn bind(option: &'static str, address: &str) -> Result<Self, BindError> {
        Socket::bind_tcp(option, address).await.map(Self::of)
    }

    /// Binds a Unix socket with the permissions `mode`. The socket of a process that has ended is replaced. Cancel-safe: a dropped
    /// call binds nothing, and may have removed such a socket.
    pub async fn bind_unix(option: &'static str, path: &Path, mode: u32) -> Result<Self, BindError> {
        Socket::bind_unix(option, path, mode).await.map(Self::of)
    }

    fn of((socket, address): (Socket, ListenAddress)) -> Self {
        Self { socket, address, counted: None, access: None, authorizer: None, tls: None }
    }

    /// Returns the bound address, with the real port even if 0 was requested. That of a Unix socket is one of this machine,
    /// without a port.
    pub fn address(&self) -> SocketAddr {
        self.address.tcp()
    }

    /// Returns the place at which it is reached, for people.
    pub fn place(&self) -> &ListenAddress {
        &self.address
    }

    /// Lets it use TLS, and nothing else, if there is `tls`. A Unix socket does without.
    pub fn secured(mut self, tls: Option<&ServerTls>) -> Self {
        self.tls = tls.filter(|_| matches!(self.socket, Socket::Tcp(_))).cloned();
        self.address.scheme = if self.tls.is_some() { Scheme::Https } else { Scheme::Http };
        self
    }

    /// Returns true if only clients with a certificate of `tls.client_ca_file` can use it.
    pub(crate) fn requires_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(ServerTls::requires_certificates)
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
        let answers = Guarded::new(access, self.address.reach(), answers);
        let accepting = Accepting {
            counted: self.counted,
            answers: Arc::new(answers),
            admission: Admission::new(limits),
            lines: LogLimit::new(),
            workers: workers.as_ref().map(Workers::share),
            settings: Settings {
                http: http_of(limits),
                header_timeout: Duration::from_millis(limits.header_timeout_ms),
                write_timeout: Duration::from_millis(limits.write_timeout_ms),
                tls: self.tls,
                bodies: Budget::new(limits.bodies_bytes_max.max(limits.envelope_bytes_max())),
                head_bytes_max: limits.head_bytes_max,
            },
            stop: stop.clone(),
            connections: connections.clone(),
        };
        let port_closed = CancellationToken::new();
        let closed = port_closed.clone();
        let accepted = accepting.run(self.socket);
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
    address: ListenAddress,
    stop: CancellationToken,
    /// Cancelled when the port is closed.
    port_closed: CancellationToken,
    connections: TaskTracker,
    workers: Option<Workers>,
}

impl Serving {
    /// Returns the bound address. That of a Unix socket is one of this machine, without a port.
    pub fn address(&self) -> SocketAddr {
        self.address.tcp()
    }

    /// Returns the place at which it is reached, for people.
    pub fn place(&self) -> &ListenAddress {
        &self.address
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
    admission: Admission,
    lines: LogLimit,
    workers: Option<Workers>,
    settings: Settings,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl Accepting {
    /// Accepts connections until it is stopped.
    async fn run(self, socket: Socket) {
        let mut pause = ACCEPT_PAUSE_MIN;
        loop {
            let next = async {
                let (accepted, peer) = socket.accept().await?;
                let admitted = self.admission.admit(accepted.as_raw_fd(), peer.map(|peer| peer.ip())).await;
                Ok((accepted, peer.unwrap_or(local()), admitted))
            };
            let accepted = tokio::select! {
                accepted = next => accepted,
                () = self.stop.cancelled() => return,
            };
            match accepted {
                Ok((accepted, peer, Some(admitted))) => {
                    pause = ACCEPT_PAUSE_MIN;
                    if let Err(error) = self.begin(accepted, peer, admitted)
                        && let Some(left_out) = self.lines.admit()
                    {
                        tracing::warn!(%error, %peer, left_out, "cannot serve a connection");
                    }
                }
                // It is closed.
                Ok((_, _, None)) => {}
                // The client is gone already.
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
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
    fn begin(&self, accepted: Accepted, peer: SocketAddr, admitted: Admitted) -> io::Result<()> {
        if let Accepted::Tcp(stream) = &accepted
            && let Err(error) = stream.set_nodelay(true)
        {
            tracing::debug!(%error, %peer, "cannot switch off Nagle's algorithm");
        }
        let (accepted, slot) = match &self.workers {
            None => (accepted, None),
            Some(workers) => workers.assign(accepted).map(|(accepted, slot)| (accepted, Some(slot)))?,
        };
        tracing::debug!(%peer, "connection accepted");
        let Admitted { permit, address, reserved } = admitted;
        let open = self.counted.as_ref().map(Counted::connected);
        let permit = ConnectionPermit::new((permit, address), slot, open);
        let tasks = (self.stop.clone(), self.connections.clone());
        let (mut settings, mut answers) = (self.settings.clone(), Arc::clone(&self.answers));
        let mut lifetime = None;
        if let Some(reserved) = reserved {
            let (limited, bound) = reserved.limit(&mut settings, answers);
            (answers, lifetime) = (limited, Some(bound));
        }
        let caller = Caller { peer: Peer(peer), worker: permit.worker().cloned() };
        let scheme = if settings.tls.is_some() { Scheme::Https } else { Scheme::Http };
        let requests = Requests::new(caller, scheme, self.counted.clone(), answers);
        settings.http.timer(ConnectionTimer::new());
        let serving = serve_connection(accepted, settings, requests, permit.clone(), tasks);
        match lifetime {
            None => permit.spawn(&self.connections, serving),
            Some(lifetime) => permit.spawn(&self.connections, lifetime.bound(serving)),
        }
        Ok(())
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
