//! `exorelay health`

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use clap::Args;
use serde::Deserialize;

use super::Error;
use super::output::print_line;
use super::sidecar::{Api, CALL_TIMEOUT, Sidecar};

/// Ask a sidecar whether it is ready
#[derive(Debug, Args)]
#[command(after_help = "\
Example: in a Dockerfile
  HEALTHCHECK CMD [\"exorelay\", \"health\"]")]
pub(super) struct Health {
    #[command(flatten)]
    api: Api,
}

/// The part of the answer that says what is missing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Readiness {
    reasons: Vec<String>,
}

impl Health {
    pub(super) async fn run(self) -> Result<(), Error> {
        let sidecar = Sidecar::new(self.api.url()?, CALL_TIMEOUT);
        let answer = sidecar.call(Method::GET, "/ready", HeaderMap::new(), Bytes::new()).await?;
        if answer.status.is_success() {
            return print_line("ready");
        }
        let Readiness { reasons } = serde_json::from_slice(&answer.body).unwrap_or_default();
        if reasons.is_empty() {
            return Err(Error::NotReady { reasons: sidecar.detail(answer.status, &answer.body) });
        }
        Err(Error::NotReady { reasons: reasons.join("; ") })
    }
}
