//! The three server processes.

use std::path::PathBuf;

use super::Config;

/// Why a server process ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This build holds the command line only.
    #[error("this build cannot start {system} yet")]
    NotBuilt {
        /// Which process was asked for.
        system: &'static str,
    },
}

/// Where the edge systems listen and keep their data; `None` is their own default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    /// `HOST:PORT`.
    pub address: Option<String>,
    /// The folder that holds everything durable.
    pub data_dir: Option<PathBuf>,
}

/// Whether others can reach the broker inside a sidecar whose `bus.url` is `embedded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddedBroker {
    /// Only this process uses it.
    Private,
    /// It also listens on `broker.address`.
    Listening,
}

/// Runs broker, sidecar and greeter in one process until it is told to stop.
pub async fn dev(_config: Config, _edge: Edge) -> Result<(), Error> {
    Err(Error::NotBuilt { system: "dev" })
}

/// Runs the sidecar until it is told to stop.
pub async fn run(_config: Config, _embedded: EmbeddedBroker) -> Result<(), Error> {
    Err(Error::NotBuilt { system: "run" })
}

/// Runs the broker until it is told to stop. `landscape` is a file with the body of `POST /services`.
pub async fn broker(_config: Config, _landscape: Option<PathBuf>) -> Result<(), Error> {
    Err(Error::NotBuilt { system: "broker" })
}
