//! One connection: hyper reads and answers its requests, and this end watches if the client is still there.

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Instant;

use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderValue, Request};
use axum::response::IntoResponse;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answering::{Answering, Answers, Caller, Peer};
use super::closing::CloseControl;
use super::framing;
use super::live::{Source, send_chunks};
use super::metrics::Counted;
use super::permit::ConnectionPermit;
use super::shared::SharedConnection;
use super::stalled::Stalled;
use super::unread::{Unread, discard};
use super::workers::WorkerHandle;
use crate::http::Problem;
use crate::memory::Budget;

/// The number of the next connection.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// Serves the requests of a connection until it ends; after `stop`, the one in progress is the last.
/// Dropping the future closes the connection.
pub(super) async fn serve_connection(
    stream: Stalled<TcpStream>,
    (peer, permit, counted): (SocketAddr, ConnectionPermit, Option<Counted>),
    http: http1::Builder,
    answers: Arc<dyn Answers>,
    (stop, connections, bodies): (CancellationToken, TaskTracker, Budget),
) {
    let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let connection = SharedConnection::new(stream);
    let (kept, lent) = (permit.clone(), connection.clone());
    let caller = Caller { peer: Peer(peer), worker: permit.worker().cloned() };
    let (unread, discarded) = Unread::pair(bodies.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let open_request = caller.worker.as_ref().map(|worker: &WorkerHandle| worker.open_request(number));
        let (method, version) = (request.method().clone(), request.version());
        let counted = counted.clone().map(|counted| (counted, Instant::now()));
        let (connection, unread) = (connection.clone(), unread.clone());
        connection.begin_answer(version);
        let malformed = framing::check(version, request.headers()).err();
        let mut request = unread.begin(request);
        if request.headers().contains_key(UPGRADE) {
            request.extensions_mut().insert(permit.clone());
            request.extensions_mut().insert(bodies.clone());
            request.extensions_mut().insert(CloseControl::new(connection.clone()));
        }
        let answering = match malformed {
            Some(problem) => refused(problem),
            None => answers.answer(request, caller.clone()),
        };
        answering.map(move |mut response| {
            drop(open_request);
            if let Some((counted, began)) = counted {
                counted.answered(&method, response.status(), began.elapsed());
            }
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
    outcome: Result<(Stalled<TcpStream>, Source), io::Result<()>>,
    connection: SharedConnection<Stalled<TcpStream>>,
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

/// Answers a request that is not passed on, and ends its connection.
fn refused(problem: Problem) -> Answering {
    let close = [(CONNECTION, HeaderValue::from_static("close"))];
    Box::pin(ready((close, problem).into_response()))
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
