//! The requests of one connection, in either version of HTTP.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::answering::{Answering, Answers, Caller, Scheme};
use super::identity::PeerIdentity;
use super::metrics::Counted;
use super::workers::WorkerHandle;
use crate::http::Problem;

/// The number of the next connection.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// Passes the requests of one connection on, with all that is known of its client.
#[derive(Clone)]
pub(super) struct Requests {
    number: u64,
    pub(super) caller: Caller,
    pub(super) scheme: Scheme,
    pub(super) identity: Option<PeerIdentity>,
    counted: Option<Counted>,
    answers: Arc<dyn Answers>,
}

impl Requests {
    pub(super) fn new(caller: Caller, scheme: Scheme, counted: Option<Counted>, answers: Arc<dyn Answers>) -> Self {
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        Self { number, caller, scheme, identity: None, counted, answers }
    }

    /// Answers a request, or refuses it if it is malformed.
    pub(super) fn answer(
        &self,
        mut request: Request<Body>,
        malformed: Option<Problem>,
    ) -> impl Future<Output = Response> + Send + use<> {
        let open_request = self.caller.worker.as_ref().map(|worker: &WorkerHandle| worker.open_request(self.number));
        let counted = self.counted.clone().map(|counted| (counted, request.method().clone(), Instant::now()));
        if self.scheme == Scheme::Https {
            request.extensions_mut().insert(self.scheme);
        }
        if let Some(identity) = &self.identity {
            request.extensions_mut().insert(identity.clone());
        }
        let answering = match malformed {
            Some(problem) => refused(problem),
            None => self.answers.answer(request, self.caller.clone()),
        };
        answering.map(move |response| {
            drop(open_request);
            if let Some((counted, method, began)) = counted {
                counted.answered(&method, response.status(), began.elapsed());
            }
            response
        })
    }
}

/// Answers a request that is not passed on, and ends its connection.
fn refused(problem: Problem) -> Answering {
    let close = [(CONNECTION, HeaderValue::from_static("close"))];
    Box::pin(ready((close, problem).into_response()))
}
