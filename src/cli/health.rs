//! `exorelay health`

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use clap::Args;
use serde::Deserialize;

use super::output::print_line;
use super::server::{Api, CALL_TIMEOUT, Server, listener_url};
use super::server_kind::ServerKind;
use super::{Error, drain};
use crate::app::config::{Purpose, Sources};
use crate::app::reachable;

/// Check that a server is ready, or at least alive
#[derive(Debug, Args)]
#[command(after_help = "\
Example: a health check in a Dockerfile
  HEALTHCHECK CMD [\"exorelay\", \"health\"]

Without --api it asks the configured ops.address, if there is one. Any listener of a server can be asked.")]
pub(super) struct Health {
    /// Check only that the process answers, not that it can do its work: for liveness probes
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    api: Api,
    /// Check every server that answers at the configured addresses (api, broker, streams): for a container that runs any of them
    #[arg(long, conflicts_with = "api")]
    any: bool,
}

/// The body of `GET /ready`: for each part `ok` or the problem.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Readiness {
    bus: String,
    service: String,
    outbox: String,
    inbox: String,
    process: String,
    /// The answers of the parts of a process, at `ops.address`; each may also be a problem.
    parts: BTreeMap<String, Readiness>,
    detail: Option<String>,
}

impl Readiness {
    fn reasons(&self) -> Vec<String> {
        if let Some(detail) = &self.detail {
            return vec![detail.clone()];
        }
        let parts = self.parts.iter().map(|(name, part)| (name, part.reasons().join(", ")));
        let named: Vec<String> = parts
            .filter(|(_, reasons)| !reasons.is_empty())
            .map(|(name, reasons)| format!("{name}: {reasons}"))
            .collect();
        if !named.is_empty() {
            return named;
        }
        let parts = [
            ("bus", &self.bus),
            ("service", &self.service),
            ("outbox", &self.outbox),
            ("inbox", &self.inbox),
            ("process", &self.process),
        ];
        let wrong = parts.into_iter().filter(|(_, state)| !matches!(state.as_str(), "" | "ok"));
        wrong.map(|(part, state)| format!("{part}: {state}")).collect()
    }
}

impl Health {
    pub(super) async fn run(self) -> Result<(), Error> {
        let depth = if self.live { Depth::Live } else { Depth::Ready };
        match self.any {
            true => check_any(depth).await?,
            false => check(&self.open()?, depth).await?,
        }
        print_line(depth.result())
    }

    /// Returns a client of the server at `--api`, else at the configured `ops.address`, else of the configured sidecar.
    fn open(&self) -> Result<Server, Error> {
        let operations = if self.api.is_given() { None } else { drain::configured()? };
        match operations {
            Some(url) => Ok(Server::new(ServerKind::Process, url, CALL_TIMEOUT)),
            None => self.api.open(CALL_TIMEOUT),
        }
    }
}

/// The depth of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// The process answers.
    Live,
    /// It can do its work.
    Ready,
}

impl Depth {
    fn path(self) -> &'static str {
        match self {
            Self::Live => "/health",
            Self::Ready => "/ready",
        }
    }

    fn result(self) -> &'static str {
        match self {
            Self::Live => "alive",
            Self::Ready => "ready",
        }
    }
}

/// Checks each server that accepts connections at its configured address; there has to be one.
async fn check_any(depth: Depth) -> Result<(), Error> {
    let config = Sources::of_process(None).resolve(Purpose::Other)?.config;
    let listeners = [
        (&config.api.address, config.api.tls),
        (&config.broker.address, config.broker.tls),
        (&config.streams.address, config.streams.tls),
    ];
    let (mut found, mut closed) = (false, Vec::new());
    for (address, tls) in listeners {
        let server = Server::new(ServerKind::Sidecar, listener_url(address, tls)?, CALL_TIMEOUT);
        match check(&server, depth).await {
            Ok(()) => found = true,
            Err(Error::NotRunning { .. }) => closed.push(reachable(address)),
            Err(error) => return Err(error),
        }
    }
    match found {
        true => Ok(()),
        false => Err(Error::NotReady { reasons: format!("nothing listens on {}", closed.join(", ")) }),
    }
}

/// Checks a server. Errors: [`Error::NotReady`] with the reasons, [`Error::NotRunning`].
async fn check(server: &Server, depth: Depth) -> Result<(), Error> {
    let answer = server.call(Method::GET, depth.path(), HeaderMap::new(), Bytes::new()).await?;
    if answer.status.is_success() {
        return Ok(());
    }
    let readiness: Readiness = serde_json::from_slice(&answer.body).unwrap_or_default();
    let reasons = readiness.reasons();
    if reasons.is_empty() {
        return Err(Error::NotReady { reasons: server.detail(answer.status, &answer.body) });
    }
    Err(Error::NotReady { reasons: reasons.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &[&str]) {
        let readiness: Readiness = serde_json::from_str(body).unwrap();
        assert_eq!(readiness.reasons(), expected, "{body}");
    }

    #[test]
    fn the_reasons_are_those_of_every_part() {
        check(
            r#"{"bus":"unreachable","service":"ok","process":"shutting down"}"#,
            &["bus: unreachable", "process: shutting down"],
        );
        check(r#"{"detail":"the store failed","status":503}"#, &["the store failed"]);
        check(
            r#"{"ready":false,"parts":{"api":{"bus":"unreachable"},"edge":{"detail":"full"},"broker":{"status":"ready"}}}"#,
            &["api: bus: unreachable", "edge: full"],
        );
    }
}
