//! `exorelay health`

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use clap::Args;
use serde::Deserialize;

use super::Error;
use super::output::print_line;
use super::server::{Api, CALL_TIMEOUT};

/// Check that a sidecar is ready
#[derive(Debug, Args)]
#[command(after_help = "\
Example: a health check in a Dockerfile
  HEALTHCHECK CMD [\"exorelay\", \"health\"]")]
pub(super) struct Health {
    #[command(flatten)]
    api: Api,
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
        let sidecar = self.api.open(CALL_TIMEOUT)?;
        let answer = sidecar.call(Method::GET, "/ready", HeaderMap::new(), Bytes::new()).await?;
        if answer.status.is_success() {
            return print_line("ready");
        }
        let readiness: Readiness = serde_json::from_slice(&answer.body).unwrap_or_default();
        let reasons = readiness.reasons();
        if reasons.is_empty() {
            return Err(Error::NotReady { reasons: sidecar.detail(answer.status, &answer.body) });
        }
        Err(Error::NotReady { reasons: reasons.join("; ") })
    }
}
