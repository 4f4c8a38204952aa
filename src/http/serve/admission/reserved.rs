//! The service of connections over a limit: they are short, and only requests for operators are answered.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::response::IntoResponse;
use hyper::server::conn::http1;
use tokio::sync::OwnedSemaphorePermit;

use crate::http::serve::answering::{Answering, Answers, Caller};
use crate::http::serve::connection::Settings;
use crate::http::serve::descriptors::not_ready;
use crate::http::{Kind, Problem};

/// Paths that are answered on every connection.
const OPERATIONS: [&str; 5] = ["/health", READY, "/metrics", "/status", "/drain"];

/// The path that says if new connections are served.
const READY: &str = "/ready";

/// Timeout for the headers of a request, and the same with a TLS handshake before it.
const HEADER_TIMEOUT: Duration = Duration::from_millis(300);
const TLS_HEADER_TIMEOUT: Duration = Duration::from_secs(1);

/// Time after which the connection is closed, unless an operator waits for an answer.
const LIFETIME: Duration = Duration::from_secs(2);

/// Time after which a client may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The limit that a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http::serve) enum Refusal {
    /// That of its client.
    Address { connections_max: usize },
    /// That of its listener.
    Connections { connections_max: usize },
    /// That of the open files of the process.
    Descriptors,
}

/// The reserved service of one connection; holds its place among them.
pub(in crate::http::serve) struct Reserved {
    refusal: Refusal,
    place: OwnedSemaphorePermit,
}

impl Reserved {
    pub(super) fn new(refusal: Refusal, place: OwnedSemaphorePermit) -> Self {
        Self { refusal, place }
    }

    /// Limits a connection to the reserved service. Returns what answers its requests, and its lifetime.
    pub(in crate::http::serve) fn limit(
        self,
        settings: &mut Settings,
        answers: Arc<dyn Answers>,
    ) -> (Arc<dyn Answers>, Lifetime) {
        settings.header_timeout = if settings.tls.is_some() { TLS_HEADER_TIMEOUT } else { HEADER_TIMEOUT };
        let http: &mut http1::Builder = &mut settings.http;
        http.keep_alive(false).header_read_timeout(settings.header_timeout);
        let lifetime = Lifetime::default();
        let operator_waits = Arc::clone(&lifetime.operator_waits);
        let answers = ForOperators { answers, refusal: self.refusal, operator_waits, _place: self.place };
        (Arc::new(answers), lifetime)
    }
}

/// The bound on the time of a connection with the reserved service.
#[derive(Default)]
pub(in crate::http::serve) struct Lifetime {
    /// True once a request of an operator was passed on: a drain takes its time.
    operator_waits: Arc<AtomicBool>,
}

impl Lifetime {
    /// Serves the connection until it ends, or its time is over. Dropping the future closes it.
    pub(in crate::http::serve) async fn bound(self, serving: impl Future<Output = ()>) {
        let mut serving = pin!(serving);
        let ended = tokio::time::timeout(LIFETIME, serving.as_mut()).await;
        if ended.is_err() && self.operator_waits.load(Ordering::Relaxed) {
            serving.await;
        }
    }
}

impl Refusal {
    fn problem(self) -> Problem {
        let detail = match self {
            Self::Address { connections_max } => format!(
                "this client has more than {connections_max} connections (http.connections_per_address_max); close some of \
                 them and try again"
            ),
            Self::Connections { connections_max } => format!(
                "this listener has its maximum of {connections_max} connections (http.connections_max); try again later"
            ),
            Self::Descriptors => "this process has too many open files and connections; try again later".to_owned(),
        };
        Problem::new(Kind::Unavailable, detail).retry_after(RETRY_AFTER)
    }
}

/// Answers requests for operators, and refuses all others. Lives as long as its connection.
struct ForOperators {
    answers: Arc<dyn Answers>,
    refusal: Refusal,
    operator_waits: Arc<AtomicBool>,
    _place: OwnedSemaphorePermit,
}

impl Answers for ForOperators {
    fn answer(&self, request: Request<Body>, caller: Caller) -> Answering {
        let problem = match (request.uri().path(), self.refusal) {
            // Others are refused, or were when this connection began.
            (READY, Refusal::Descriptors) => not_ready(),
            (path, _) if OPERATIONS.contains(&path) => {
                self.operator_waits.store(true, Ordering::Relaxed);
                return self.answers.answer(request, caller);
            }
            (_, refusal) => refusal.problem(),
        };
        Box::pin(std::future::ready(problem.into_response()))
    }
}
