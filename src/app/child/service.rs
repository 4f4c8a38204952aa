//! The command of a service, and its place beside the sidecar.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use axum::http::Uri;
use tokio::process::Command;

use super::address::{free_port, is_in_use, local_addresses, reachable};
use crate::api;
use crate::app::{Config, Error};
use crate::http::socket_path;

/// The command that starts a service.
#[derive(Debug, Clone)]
pub struct ServiceCommand {
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Reaction to its end.
    pub restart: Restart,
}

/// Reaction to the end of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// It is started again.
    Always,
    /// The sidecar drains, and ends with its status.
    Never,
}

/// A service with its place: the port that it listens on, and the sidecar that it calls.
#[derive(Debug, Clone)]
pub(in crate::app) struct Prepared {
    pub(super) command: ServiceCommand,
    pub(super) role: String,
    /// Host and port at which the sidecar calls the service.
    pub(super) host: String,
    pub(super) port: u16,
    /// `HOST:PORT` of the sidecar's service-facing listener.
    api: String,
    /// The base URL of the api for the service.
    sidecar: String,
    /// The authorities that the service's own tools trust, if the api serves over TLS.
    ca_file: Option<PathBuf>,
}

impl ServiceCommand {
    /// Chooses the port of the service, unless `webhook.forward` names one, and that of the sidecar's service-facing listener
    /// if it is 0; sets both in `config`. Errors: [`Error::NoPort`], [`Error::ForwardElsewhere`], [`Error::PortInUse`].
    pub(in crate::app) async fn prepare(self, config: &mut Config) -> Result<Prepared, Error> {
        if config.webhook.forward.is_empty() {
            config.webhook.forward = format!("http://{}:{}", local_host().await, free_port().ok_or(Error::NoPort)?);
        }
        if let (Some(host), None) = (config.api.address.strip_suffix(":0"), socket_path(&config.api.address)) {
            config.api.address = format!("{host}:{}", free_port().ok_or(Error::NoPort)?);
        }
        config.webhook.is_supervised = true;
        let forward: Uri = config.webhook.forward.parse().map_err(|_| Error::NoPort)?;
        let default_port = if forward.scheme_str() == Some("https") { 443 } else { 80 };
        let prepared = Prepared {
            command: self,
            role: config.relay.role.as_ref().map(ToString::to_string).unwrap_or_default(),
            host: forward.host().unwrap_or("127.0.0.1").trim_matches(['[', ']']).to_owned(),
            port: forward.port_u16().unwrap_or(default_port),
            api: reachable(&config.api.address),
            sidecar: sidecar_url(&config.api),
            ca_file: config.api.tls.then(|| config.tls.ca_file.clone()),
        };
        prepared.check_place().await?;
        Ok(prepared)
    }
}

/// Returns the base URL of the sidecar, or `unix:PATH`.
fn sidecar_url(api: &api::Config) -> String {
    match (socket_path(&api.address), api.tls) {
        (Some(_), _) => api.address.clone(),
        (None, true) => format!("https://{}", reachable(&api.address)),
        (None, false) => format!("http://{}", reachable(&api.address)),
    }
}

/// Returns the name of this host, by which a service is found on either loopback address; the usual one if there is no such
/// name, as in an empty container.
async fn local_host() -> String {
    let is_local = |found: &std::net::SocketAddr| found.ip() == Ipv4Addr::LOCALHOST;
    let found = tokio::net::lookup_host(("localhost", 0)).await;
    let is_known = found.is_ok_and(|mut found| found.any(|found| is_local(&found)));
    if is_known { "localhost".to_owned() } else { Ipv4Addr::LOCALHOST.to_string() }
}

impl Prepared {
    /// Checks that the service can listen where messages for it go: else another program would get them. Errors:
    /// [`Error::ForwardElsewhere`], [`Error::PortInUse`].
    pub(in crate::app) async fn check_place(&self) -> Result<(), Error> {
        let (host, addresses) = (self.host.clone(), local_addresses(&self.host).await);
        if addresses.is_empty() {
            return Err(Error::ForwardElsewhere { host });
        }
        match addresses.into_iter().any(|ip| is_in_use(ip, self.port)) {
            true => Err(Error::PortInUse { host, port: self.port }),
            false => Ok(()),
        }
    }

    /// Returns the command with its environment: `PORT` to listen on; the sidecar in `SIDECAR`, and for its own tools in
    /// `EXORELAY__API__ADDRESS`.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.command.program);
        command.args(&self.command.arguments);
        command.env("PORT", self.port.to_string()).env("SIDECAR", &self.sidecar);
        command.env("EXORELAY__API__ADDRESS", &self.api);
        if let Some(ca_file) = &self.ca_file {
            command.env("EXORELAY__API__TLS", "true").env("EXORELAY__TLS__CA_FILE", ca_file);
        }
        command
    }

    pub(in crate::app) fn program(&self) -> String {
        self.command.program.to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn prepared(forward: &str, api: &str) -> (Prepared, Config) {
        let mut config = Config::default();
        forward.clone_into(&mut config.webhook.forward);
        api.clone_into(&mut config.api.address);
        let command = ServiceCommand { program: "true".into(), arguments: Vec::new(), restart: Restart::Always };
        (command.prepare(&mut config).await.unwrap(), config)
    }

    #[tokio::test]
    async fn a_service_without_a_port_gets_a_free_one() {
        let (service, config) = prepared("", "127.0.0.1:0").await;
        assert_eq!(config.webhook.forward, format!("http://{}:{}", service.host, service.port));
        assert!(service.port >= 20_000);
        assert_eq!(config.api.address, service.api);
        assert!(!service.api.ends_with(":0"));
    }

    #[tokio::test]
    async fn the_port_of_the_forward_url_is_kept() {
        let port = free_port().unwrap();
        let forward = format!("http://[::1]:{port}/base");
        let (service, config) = prepared(&forward, "0.0.0.0:4001").await;
        assert_eq!((service.host.as_str(), service.port, service.api.as_str()), ("::1", port, "127.0.0.1:4001"));
        assert_eq!(config.webhook.forward, forward);
    }
}
