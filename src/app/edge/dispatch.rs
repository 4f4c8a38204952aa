//! Sends each request of a listener to the system that owns its path.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use prometheus_client::registry::Registry;

use super::operations;
use crate::app::Error;
use crate::app::system::System;
use crate::http::{Answering, Answers, Caller, Limits};

/// The request handler of a listener. It compares path prefixes instead of merging axum routers, so that systems keep
/// their own layers, fallbacks and fast paths, and so that overlapping paths are an error instead of a panic.
pub(super) struct Dispatch {
    /// No path covers another one.
    mounts: Vec<Mount>,
    /// `/health`, `/ready`, `/metrics`, and the answer to unknown paths.
    operations: Router,
}

/// A path and the system that serves it.
struct Mount {
    path: String,
    system: &'static str,
    answers: Arc<dyn Answers>,
}

impl Dispatch {
    /// Collects the routes of all systems, whose metrics join those of `registry`. Errors: [`Error::SystemPath`] if two paths overlap or one is malformed.
    pub(super) fn new(systems: &[Arc<dyn System>], registry: Registry, limits: &Limits) -> Result<Self, Error> {
        let mut mounts: Vec<Mount> = Vec::new();
        for system in systems {
            let routes = system.routes(limits);
            for path in routes.paths {
                if let Some(problem) = problem_with(&path, &mounts) {
                    return Err(Error::SystemPath { system: system.name(), path, problem });
                }
                mounts.push(Mount { path, system: system.name(), answers: Arc::clone(&routes.answers) });
            }
        }
        Ok(Self { mounts, operations: operations::router(systems, registry) })
    }
}

impl Dispatch {
    /// Returns the routes for operators.
    pub(super) fn operations(&self) -> Router {
        self.operations.clone()
    }
}

impl Answers for Dispatch {
    fn answer(&self, request: Request<Body>, caller: Caller) -> Answering {
        let path = request.uri().path();
        match self.mounts.iter().find(|mount| covers(&mount.path, path)) {
            Some(mount) => mount.answers.answer(request, caller),
            None => self.operations.answer(request, caller),
        }
    }
}

/// Returns the reason why nothing can be mounted at `path`, if there is one.
fn problem_with(path: &str, mounts: &[Mount]) -> Option<String> {
    if !path.starts_with('/') || path.ends_with('/') {
        return Some("expected a path such as /v1/stream, without a slash at the end".into());
    }
    let overlap = |other: &str| covers(path, other) || covers(other, path);
    if let Some(taken) = operations::PATHS.into_iter().find(|taken| overlap(taken)) {
        return Some(format!("{taken} is served by every listener"));
    }
    let taken = mounts.iter().find(|mount| overlap(&mount.path))?;
    Some(format!("{} is served by {}", taken.path, taken.system))
}

/// Returns true if `path` is `mount` or below it.
fn covers(mount: &str, path: &str) -> bool {
    path.strip_prefix(mount).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_covers_itself_and_what_is_below_it() {
        for (path, expected) in [
            ("/v1/stream", true),
            ("/v1/stream/", true),
            ("/v1/stream/a/b", true),
            ("/v1/streams", false),
            ("/", false),
        ] {
            assert_eq!(covers("/v1/stream", path), expected, "{path}");
        }
    }

    #[test]
    fn malformed_and_overlapping_paths_are_refused() {
        let mounts = [Mount { path: "/v1/stream".into(), system: "streams", answers: Arc::new(Router::new()) }];
        let malformed = "expected a path such as /v1/stream, without a slash at the end";
        for (path, expected) in [
            ("/v1/streams", None),
            ("/krmx", None),
            ("krmx", Some(malformed)),
            ("/krmx/", Some(malformed)),
            ("/", Some(malformed)),
            ("", Some(malformed)),
            ("/v1", Some("/v1/stream is served by streams")),
            ("/v1/stream", Some("/v1/stream is served by streams")),
            ("/v1/stream/__ds", Some("/v1/stream is served by streams")),
            ("/ready", Some("/ready is served by every listener")),
        ] {
            assert_eq!(problem_with(path, &mounts).as_deref(), expected, "{path}");
        }
    }
}
