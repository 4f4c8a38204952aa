//! Connections while file descriptors are scarce: the last ones stay free for operators and for the store.

use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::response::IntoResponse;
use rustix::process::{Resource, getrlimit};

use super::answering::{Answering, Answers, Caller};
use crate::http::{Kind, Problem};
use crate::log_limit::LogLimit;

/// The path that says if new connections are served.
const READY: &str = "/ready";

/// Part of the limit on open files that is reserved, and the bounds of the reserve.
const RESERVED_PART: u64 = 4;
const RESERVED_MIN: u64 = 16;
const RESERVED_MAX: u64 = 128;

/// Watches the number of open files.
///
/// The system gives a new file the lowest free number, so the number of a new socket is at most the number of open files of the
/// process, for whatever purpose they were opened.
pub(super) struct Descriptors {
    limit: u64,
    lines: LogLimit,
}

impl Descriptors {
    /// Reads the limit of this process.
    pub(super) fn of_process() -> Self {
        Self { limit: limit_of_process(), lines: LogLimit::new() }
    }

    /// Returns true if the number of a new socket is one of the reserved ones.
    pub(super) fn are_scarce_at(&self, file: RawFd) -> bool {
        let number = u64::try_from(file).unwrap_or_default();
        if !is_reserved(number, self.limit) {
            return false;
        }
        if let Some(left_out) = self.lines.admit() {
            let limit = self.limit;
            tracing::warn!(
                limit,
                left_out,
                "file descriptors are scarce: refusing requests, except for health and metrics; raise the limit (ulimit -n)"
            );
        }
        true
    }
}

fn limit_of_process() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn is_reserved(number: u64, limit: u64) -> bool {
    number >= limit.saturating_sub((limit / RESERVED_PART).clamp(RESERVED_MIN, RESERVED_MAX))
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
            true => Box::pin(std::future::ready(not_ready().into_response())),
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

/// Returns the answer to `/ready` while new connections are refused for want of descriptors.
pub(super) fn not_ready() -> Problem {
    let detail =
        "this process has too many open files and connections, and refuses new ones; raise the limit (ulimit -n)";
    Problem::new(Kind::Unavailable, detail).retry_after(Duration::from_secs(1))
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
