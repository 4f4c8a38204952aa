//! One connection: hyper reads and answers its requests, and this end watches if the client is still there.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::http::Request;
use axum::http::header::UPGRADE;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio_util::task::TaskTracker;

use super::closing::CloseControl;
use super::framing;
use super::http2;
use super::live::{Source, send_chunks};
use super::opening::{Accepted, Opened, Protocol, open};
use super::permit::{ConnectionPermit, Tasks};
use super::requests::Requests;
use super::shared::SharedConnection;
use super::stalled::Stalled;
use super::tls::ServerTls;
use super::transport::Transport;
use super::unread::{Unread, discard};
use crate::memory::Budget;

/// The part of a listener's settings that its connections need.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) http: http1::Builder,
    pub(super) header_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) tls: Option<ServerTls>,
    /// The bodies and frames that all connections of the listener are reading.
    pub(super) bodies: Budget,
    /// Maximum length of a request head.
    pub(super) head_bytes_max: usize,
}

/// Serves the requests of a connection until it ends; after the stop, those in progress are the last.
/// Dropping the future closes the connection.
pub(super) async fn serve_connection(
    accepted: Accepted,
    settings: Settings,
    mut requests: Requests,
    permit: ConnectionPermit,
    tasks: Tasks,
) {
    let peer = requests.caller.peer.0;
    let opened = tokio::select! {
        opened = open(accepted, settings.tls, settings.header_timeout) => opened,
        () = tasks.0.cancelled() => return,
    };
    let Opened { transport, protocol, identity } = match opened {
        Ok(opened) => opened,
        Err(error) => return report(Err(error), peer),
    };
    requests.identity = identity;
    let stream = Stalled::new(transport, settings.write_timeout);
    match protocol {
        Protocol::Http1 => serve_http1(stream, (settings.http, settings.bodies), requests, permit, tasks).await,
        Protocol::Http2 => {
            let Settings { header_timeout: idle, write_timeout: write, bodies, head_bytes_max, .. } = settings;
            let bounds = http2::Bounds { idle, write, bodies, head_bytes_max };
            // Boxed, so that it does not add to the size of the other connections.
            report(Box::pin(http2::serve(stream, bounds, requests, permit, tasks)).await, peer);
        }
    }
}

async fn serve_http1(
    stream: Stalled<Transport>,
    (http, bodies): (http1::Builder, Budget),
    requests: Requests,
    permit: ConnectionPermit,
    (stop, connections): Tasks,
) {
    let peer = requests.caller.peer.0;
    let connection = SharedConnection::new(stream);
    let (kept, lent) = (permit.clone(), connection.clone());
    let (unread, discarded) = Unread::pair(bodies.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (method, version) = (request.method().clone(), request.version());
        let (connection, unread) = (connection.clone(), unread.clone());
        connection.begin_answer(version);
        let malformed = framing::check(version, request.headers()).err();
        let mut request = unread.begin(request);
        if request.headers().contains_key(UPGRADE) {
            request.extensions_mut().insert(permit.clone());
            request.extensions_mut().insert(bodies.clone());
            request.extensions_mut().insert(CloseControl::new(connection.clone()));
        }
        requests.answer(request, malformed).map(move |mut response| {
            unread.answered(&mut response);
            connection.end_answer(&method, version, &mut response);
            Ok::<_, Infallible>(response)
        })
    });
    let mut serving = pin!(http.serve_connection(TokioIo::new(lent.clone()), service).with_upgrades());
    // Ends with the connection, or with its live answer.
    let mut step = async |stop: bool| {
        if stop {
            serving.as_mut().graceful_shutdown();
        }
        poll_fn(|context| match serving.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Err(outcome.map_err(io::Error::other))),
            Poll::Pending => match lent.take_back() {
                Some(live) => Poll::Ready(Ok(live)),
                None => {
                    discarded.poll_discard(context);
                    lent.poll_disconnect(context).map(|gone| Err(Err(gone)))
                }
            },
        })
        .await
    };
    let stopped = tokio::select! {
        outcome = step(false) => Some(outcome),
        () = stop.cancelled() => None,
    };
    let outcome = match stopped {
        Some(outcome) => outcome,
        None => step(true).await,
    };
    conclude(outcome, lent.clone(), (kept, connections), peer).await;
}

/// Ends a connection that hyper is done with: sends its live answer, or reads what is still sent after a request that hyper
/// has refused.
async fn conclude(
    outcome: Result<(Stalled<Transport>, Source), io::Result<()>>,
    connection: SharedConnection<Stalled<Transport>>,
    (kept, connections): (ConnectionPermit, TaskTracker),
    peer: SocketAddr,
) {
    match outcome {
        // In a task of its own, which is small.
        Ok((stream, source)) => {
            let permit = kept.clone();
            permit.spawn(&connections, async move {
                let _permit = kept;
                report(send_chunks(stream, source).await, peer);
            });
        }
        Err(outcome) => {
            if is_malformed(&outcome) {
                Box::pin(discard(connection)).await;
            }
            report(outcome, peer);
        }
    }
}

/// Returns true if hyper has refused a request because it is not HTTP.
fn is_malformed(outcome: &io::Result<()>) -> bool {
    let cause = outcome.as_ref().err().and_then(io::Error::get_ref);
    cause.and_then(|cause| cause.downcast_ref::<hyper::Error>()).is_some_and(hyper::Error::is_parse)
}

fn report(outcome: io::Result<()>, peer: SocketAddr) {
    if let Err(error) = outcome {
        tracing::debug!(%error, %peer, "connection ended early");
    }
}
