//! `exorelay health`

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use clap::Args;
use serde::Deserialize;

use super::Error;
use super::output::print_line;
use super::server::{Api, CALL_TIMEOUT, Server};
use super::server_kind::ServerKind;
use crate::app::config::{Purpose, Sources};
use crate::app::reachable;

/// Check that a sidecar, or another server of this host, is ready
#[derive(Debug, Args)]
#[command(after_help = "\
Example: a health check in a Dockerfile
  HEALTHCHECK CMD [\"exorelay\", \"health\"]")]
pub(super) struct Health {
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
}

impl Readiness {
    fn reasons(&self) -> Vec<String> {
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
        match self.any {
            true => check_any().await?,
            false => check(&self.api.open(CALL_TIMEOUT)?).await?,
        }
        print_line("ready")
    }
}

/// Checks each server that accepts connections at its configured address; there has to be one.
async fn check_any() -> Result<(), Error> {
    let config = Sources::of_process(None).resolve(Purpose::Other)?.config;
    let addresses = [&config.api.address, &config.broker.address, &config.streams.address];
    let (mut found, mut closed) = (false, Vec::new());
    for address in addresses.map(|address| reachable(address)) {
        let server = Server::new(ServerKind::Sidecar, format!("http://{address}"), CALL_TIMEOUT);
        match check(&server).await {
            Ok(()) => found = true,
            Err(Error::NotRunning { .. }) => closed.push(address),
            Err(error) => return Err(error),
        }
    }
    match found {
        true => Ok(()),
        false => Err(Error::NotReady { reasons: format!("nothing listens on {}", closed.join(", ")) }),
    }
}

/// Checks that a server is ready. Errors: [`Error::NotReady`] with the reasons, [`Error::NotRunning`].
async fn check(server: &Server) -> Result<(), Error> {
    let answer = server.call(Method::GET, "/ready", HeaderMap::new(), Bytes::new()).await?;
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
