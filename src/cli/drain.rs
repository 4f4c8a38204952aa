//! `exorelay drain`

use std::time::Duration;

use axum::http::Method;
use bytes::Bytes;
use clap::Args;
use serde::Deserialize;

use super::Error;
use super::output::print_line;
use super::server::{Server, base_url, listener_url};
use super::server_kind::ServerKind;
use super::token::Token;
use crate::app::config::{Purpose, Sources};

/// Maximum wait for a process to drain; it has a shorter bound of its own, drain.grace_ms.
const TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// Let a server on this machine finish its work and take nothing new; it then waits for SIGTERM
#[derive(Debug, Args)]
#[command(after_help = "\
Example: the preStop hook of a sidecar in Kubernetes, started with --ops 0.0.0.0:9100
  lifecycle: {preStop: {exec: {command: [\"/exorelay\", \"drain\", \"--url\", \"http://127.0.0.1:9100\"]}}}

The server is not ready from the beginning: it finishes what it has begun, hands over the rest, and leaves the bus, all
within its drain.grace_ms. Exits with 0 if nothing was left, else with 1 and the number.")]
pub(super) struct Drain {
    /// The server's address for operators, see --ops [default: the configured ops.address]
    #[arg(long, value_name = "URL", help_heading = "Server")]
    url: Option<String>,
    #[command(flatten)]
    token: Token,
}

/// The answer to `POST /drain`.
#[derive(Deserialize)]
struct Drained {
    unfinished: usize,
}

impl Drain {
    pub(super) async fn run(self) -> Result<(), Error> {
        let url = match &self.url {
            Some(given) => base_url(ServerKind::Process, given)?,
            None => configured()?.ok_or(Error::NoOperations)?,
        };
        let server = Server::new(ServerKind::Process, url, TIMEOUT);
        let answer = server.call(Method::POST, "/drain", self.token.headers(), Bytes::new()).await?;
        let answer = server.accepted(answer).await?;
        let Drained { unfinished } = match serde_json::from_slice(&answer.body) {
            Ok(drained) => drained,
            Err(error) => return Err(server.unexpected(error).await),
        };
        match unfinished {
            0 => print_line("drained"),
            messages => Err(Error::Unfinished { messages }),
        }
    }
}

/// Returns the base URL of the configured `ops.address`; `None` if there is none.
pub(super) fn configured() -> Result<Option<String>, Error> {
    let config = Sources::of_process(None).resolve(Purpose::Other)?.config;
    let address = Some(config.ops.address).filter(|address| !address.is_empty());
    address.map(|address| listener_url(&address, config.ops.tls)).transpose()
}
