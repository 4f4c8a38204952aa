//! Connections while file descriptors are scarce: the last ones stay free for operators and for the store.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::response::IntoResponse;
use hyper::server::conn::http1;
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answering::{Answering, Answers, Caller};
use crate::http::{Kind, Problem};
use crate::log_limit::LogLimit;

/// Paths that are answered on every connection, also when descriptors are scarce.
const OPERATIONS: [&str; 3] = ["/health", "/metrics", "/status"];

/// The path that says if new connections are served.
const READY: &str = "/ready";

/// Part of the limit on open files that is reserved, and the bounds of the reserve.
const RESERVED_PART: u64 = 4;
const RESERVED_MIN: u64 = 16;
const RESERVED_MAX: u64 = 128;

/// Number of connections of one listener that may use reserved descriptors at the same time.
const RESERVED_CONNECTIONS_MAX: usize = 6;

/// Timeout for the headers of a request on a reserved descriptor.
const RESERVED_HEADER_TIMEOUT: Duration = Duration::from_millis(300);

/// Admission of connections by the number of open files.
///
/// The system gives a new file the lowest free number, so the number of a new socket is at most the number of open files of the
/// process, for whatever purpose they were opened.
pub(super) struct Descriptors {
    limit: u64,
    reserved: Arc<Semaphore>,
    lines: LogLimit,
}

/// The service that a connection gets.
pub(super) enum Admission {
    /// Every request.
    Full,
    /// One request, which is refused unless it is for operators; holds its place among the reserved connections.
    Reserved { _place: OwnedSemaphorePermit },
}

impl Descriptors {
    /// Reads the limit of this process.
    pub(super) fn of_process() -> Self {
        Self {
            limit: limit_of_process(),
            reserved: Arc::new(Semaphore::new(RESERVED_CONNECTIONS_MAX)),
            lines: LogLimit::new(),
        }
    }

    /// Admits a connection; waits while too many use reserved descriptors. Cancel-safe: a dropped call admits nothing.
    pub(super) async fn admit(&self, stream: &TcpStream) -> Admission {
        let number = u64::try_from(stream.as_raw_fd()).unwrap_or_default();
        if !is_reserved(number, self.limit) {
            return Admission::Full;
        }
        if let Some(left_out) = self.lines.admit() {
            let limit = self.limit;
            tracing::warn!(
                limit,
                left_out,
                "file descriptors are scarce: refusing requests, except for health and metrics; raise the limit (ulimit -n)"
            );
        }
        match Arc::clone(&self.reserved).acquire_owned().await {
            Ok(_place) => Admission::Reserved { _place },
            // The semaphore is never closed.
            Err(_) => Admission::Full,
        }
    }
}

fn limit_of_process() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn is_reserved(number: u64, limit: u64) -> bool {
    number >= limit.saturating_sub((limit / RESERVED_PART).clamp(RESERVED_MIN, RESERVED_MAX))
}

impl Admission {
    /// Limits a connection to the service that it gets, and returns what answers its requests.
    pub(super) fn limit(self, http: &mut http1::Builder, answers: &Arc<dyn Answers>) -> Arc<dyn Answers> {
        match self {
            Self::Full => Arc::clone(answers),
            Self::Reserved { _place } => {
                http.keep_alive(false).header_read_timeout(RESERVED_HEADER_TIMEOUT);
                Arc::new(ForOperators { answers: Arc::clone(answers), _place })
            }
        }
    }
}

/// Answers requests for operators, and refuses all others. Lives as long as its connection.
struct ForOperators {
    answers: Arc<dyn Answers>,
    _place: OwnedSemaphorePermit,
}

impl Answers for ForOperators {
    fn answer(&self, request: Request<Body>, caller: Caller) -> Answering {
        match request.uri().path() {
            // Others are refused, or were when this connection began.
            READY => return answer_with(not_ready()),
            path if OPERATIONS.contains(&path) => return self.answers.answer(request, caller),
            _ => {}
        }
        let detail = "this process has too many open files and connections; try again later";
        let refusal = Problem::new(Kind::Unavailable, detail).retry_after(Duration::from_secs(1));
        answer_with(refusal)
    }
}

/// Answers as a listener does, except that it is not ready while new connections are refused for want of descriptors.
pub(super) struct ReadyWithDescriptors<A> {
    answers: A,
    limit: u64,
}

impl<A> ReadyWithDescriptors<A> {
    /// Reads the limit of this process.
    pub(super) fn new(answers: A) -> Self {
        Self { answers, limit: limit_of_process() }
    }
}

impl<A: Answers> Answers for ReadyWithDescriptors<A> {
    fn answer(&self, request: Request<Body>, caller: Caller) -> Answering {
        match request.uri().path() == READY && next_is_reserved(self.limit) {
            true => answer_with(not_ready()),
            false => self.answers.answer(request, caller),
        }
    }
}

/// Returns true if the next file that this process opens has a reserved number, or none is left.
fn next_is_reserved(limit: u64) -> bool {
    match rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), 0) {
        Ok(next) => is_reserved(u64::try_from(next.as_raw_fd()).unwrap_or_default(), limit),
        Err(error) => error == rustix::io::Errno::MFILE,
    }
}

fn not_ready() -> Problem {
    let detail =
        "this process has too many open files and connections, and refuses new ones; raise the limit (ulimit -n)";
    Problem::new(Kind::Unavailable, detail).retry_after(Duration::from_secs(1))
}

fn answer_with(problem: Problem) -> Answering {
    Box::pin(std::future::ready(problem.into_response()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_descriptors_are_reserved() {
        for (limit, first) in [(64, 48), (256, 192), (1024, 896), (1 << 20, (1 << 20) - 128)] {
            assert!(is_reserved(first, limit) && !is_reserved(first - 1, limit), "{limit}");
        }
        assert!(!is_reserved(1_000_000, u64::MAX));
    }
}
