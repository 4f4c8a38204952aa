//! HTTP/2 (RFC 9113): by ALPN over TLS, and where a client knows of it in advance. Many requests share one connection, so a
//! browser, which opens six at most, can hold more event streams.

mod head;
mod pieces;
mod streams;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::http::Request;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use self::head::normalized;
use self::streams::Streams;
use super::permit::{ConnectionPermit, Tasks};
use super::requests::Requests;
use super::stalled::Stalled;
use super::transport::Transport;
use crate::memory::Budget;

/// Maximum number of open requests of one connection.
const STREAMS_MAX: u32 = 100;

/// Maximum unread bytes of one body, and of all bodies of a connection.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 512 * 1024;

/// Maximum bytes of one answer that wait for the client to take them.
const SEND_BYTES_MAX: usize = 64 * 1024;

/// Number of requests that a client may cancel before they were begun, and of those that may break the protocol; then the
/// connection is closed. Against floods of cancelled requests (CVE-2023-44487) and of errors.
const RESETS_MAX: usize = 20;
const ERRORS_MAX: usize = 100;

/// Time without a frame after which a client is pinged, and time for its answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Time for a client without open requests to agree to the end of its connection.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Bounds of a connection.
pub(super) struct Bounds {
    /// Time without an open request after which it is closed.
    pub(super) idle: Duration,
    /// Time for which an answer may make no progress; then its request is cancelled.
    pub(super) write: Duration,
    /// The bodies that all connections of the listener are reading.
    pub(super) bodies: Budget,
    /// Maximum length of the headers of one request, each with 32 bytes added; then 431. RFC 9113 6.5.2.
    pub(super) head_bytes_max: usize,
}

/// Serves the requests of a connection until it ends. After the stop, or when it was idle for long, it accepts no more. Dropping
/// the future cancels all its requests.
pub(super) async fn serve(
    stream: Stalled<Transport>,
    bounds: Bounds,
    requests: Requests,
    permit: ConnectionPermit,
    (stop, connections): Tasks,
) -> io::Result<()> {
    let Bounds { idle, write, bodies, head_bytes_max } = bounds;
    let streams = Streams::new(permit, connections, write);
    let begun = streams.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let method = request.method().clone();
        let (request, malformed) = normalized(request, &bodies);
        let progress = begun.begin();
        requests.answer(request, malformed).map(move |response| Ok::<_, Infallible>(progress.follow(&method, response)))
    });
    let mut serving = pin!(builder(streams.clone(), head_bytes_max).serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut serving => Some(ended),
        () = stop.cancelled() => None,
        () = streams.idle(idle) => None,
    };
    let ended = match ended {
        Some(ended) => Some(ended),
        None => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                ended = &mut serving => Some(ended),
                () = streams.idle(CLOSE_TIME) => None,
            }
        }
    };
    ended.unwrap_or(Ok(())).map_err(io::Error::other)
}

fn builder(streams: Streams, head_bytes_max: usize) -> http2::Builder<Streams> {
    let mut http = http2::Builder::new(streams);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(head_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(ERRORS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    http
}

#[cfg(test)]
mod tests;
