//! The `exocom` command: a drop-in for the original broker. exo 2.6, 3.7.

use std::ffi::OsString;
use std::io::Write;

use clap::{Parser, Subcommand};

use super::Error;
use super::runtime::{Threads, server_threads};
use crate::app::config::{Purpose, Sources};
use crate::app::exocom::{self, Setup};
use crate::app::telemetry;

/// The version of the original broker that this command replaces.
const PROTOCOL_VERSION: &str = "0.27.0";

/// Default limit of a frame. The originals had none, and their clients do not survive the refusal of a frame. exo 3.7, 8.
const FRAME_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// ExoCom: the message broker of Exosphere, for services of the WebSocket era
#[derive(Debug, Parser)]
#[command(
    name = "exocom",
    disable_version_flag = true,
    disable_help_subcommand = true,
    after_help = "\
Environment:
  SERVICE_DATA    the services: {\"users\":{\"receives\":[],\"sends\":[],\"translations\":[]}}
  SERVICE_ROUTES  the same, as ExoCom before 0.27 takes it: [{\"role\":\"users\",\"receives\":[],\"sends\":[]}],
                  with or without quotes: [{role:users,receives:[],sends:[]}]
  SERVICE_MESSAGES  the same, as ExoCom of 2016 takes it: [{name:users,receives:[],sends:[]}]
  PORT            the port to listen on [default: 80 with SERVICE_DATA, otherwise 3100]
  EXOCOM_BIND     the host to listen on [default: every interface, as in the original]
  EXORELAY__…     any other broker setting, such as EXORELAY__BROKER__DELIVERY_WINDOW_MS=60000.
                  Defaults that differ from `exorelay broker`: EXORELAY__BROKER__LOG_MESSAGES and
                  ..__LOG_PAYLOADS are true, EXORELAY__BROKER__SETTLE_MS is 0,
                  EXORELAY__BROKER__FRAME_BYTES_MAX is 67108864 (64 MiB),
                  EXORELAY__BROKER__INSTANCE_NETWORKS is 0.0.0.0/0,::/0,
                  EXORELAY__DRAIN__GRACE_MS is 8000, EXORELAY__LOG__LEVEL is off,
                  and without service data EXORELAY__BROKER__COMPAT is true

As in the original, any client that reaches the port can send and receive under any role. Require
tokens with EXORELAY__BROKER__TOKENS=web=secret, or make the port reachable only to your services.

Example: a broker on port 3100
  PORT=3100 SERVICE_DATA='{\"web\":{\"sends\":[\"hi\"]},\"users\":{\"receives\":[\"hi\"]}}' exocom

Exit codes: 0 success, 1 failure or wrong usage, 2 wrong service data or a port that cannot be opened"
)]
pub struct Exocom {
    /// Port to listen on, instead of PORT; without service data this starts an HTTP-era broker
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// Print the versions
    #[arg(short, long)]
    version: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the version of the original broker and of exorelay
    Version,
    #[command(external_subcommand)]
    Unknown(Vec<OsString>),
}

/// An error that ends the `exocom` command.
#[derive(Debug, thiserror::Error)]
pub enum ExocomError {
    /// The command is unknown.
    #[error("Error: unknown command {name:?} for \"exocom\"\nRun 'exocom --help' for usage.")]
    UnknownCommand {
        /// The given name.
        name: String,
    },
    /// The broker cannot start.
    #[error(transparent)]
    Broker(#[from] exocom::Error),
    /// An error that any command can have.
    #[error(transparent)]
    Command(#[from] Error),
}

impl ExocomError {
    /// Returns the exit code: 2 for wrong data and ports, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::UnknownCommand { .. } => 1,
            Self::Broker(error) => error.exit_code(),
            Self::Command(Error::Configuration(_)) => 2,
            Self::Command(error) => error.exit_code(),
        }
    }
}

impl Exocom {
    /// Returns the threads to run on. Errors: `TOKIO_WORKER_THREADS` is not a number of at least 1.
    pub fn threads(&self) -> Result<Threads, Error> {
        server_threads().map(Threads::Many)
    }

    /// Runs the command to its end. Not cancel-safe: a dropped call has done a part of it.
    pub async fn run(self) -> Result<(), ExocomError> {
        match self.command {
            Some(Command::Unknown(words)) => {
                let name = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
                Err(ExocomError::UnknownCommand { name })
            }
            Some(Command::Version) => Ok(print_versions()?),
            None if self.version => Ok(print_versions()?),
            None => {
                let variable = |name: &str| std::env::var_os(name).map(|text| text.to_string_lossy().into_owned());
                let setup = Setup::read(variable, self.port.as_deref())?;
                let resolved = sources(&setup).resolve(Purpose::Other).map_err(Error::Configuration)?;
                telemetry::start(&resolved.config.log);
                Ok(exocom::run(resolved.config, setup).await?)
            }
        }
    }
}

/// Returns the usual sources of settings with the defaults of the original broker.
fn sources(setup: &Setup) -> Sources {
    let sources = Sources::of_process(None)
        .default("broker.log_messages", true)
        .default("broker.log_payloads", true)
        .default("log.level", "off")
        .default("broker.frame_bytes_max", FRAME_BYTES_MAX)
        // As the original: services listen anywhere.
        .default("broker.instance_networks", "0.0.0.0/0,::/0")
        .default("http.bodies_bytes_max", 2 * FRAME_BYTES_MAX)
        .default("broker.queue_bytes_max", 4 * FRAME_BYTES_MAX)
        .default("memory.queues_bytes_max", 4 * FRAME_BYTES_MAX)
        // `docker stop` kills the process after 10 s.
        .default("drain.grace_ms", 8_000);
    match &setup.landscape {
        // The landscape lists the roles to wait for, so a message for any other role is refused at once.
        Some(_) => sources.default("broker.settle_ms", 0),
        None => sources.default("broker.settle_ms", 0).default("broker.compat", true),
    }
}

fn print_versions() -> Result<(), Error> {
    let own = env!("CARGO_PKG_VERSION");
    let mut out = std::io::stdout().lock();
    writeln!(out, "{PROTOCOL_VERSION}\nexorelay {own}").and_then(|()| out.flush()).map_err(Error::Output)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_definition_is_consistent() {
        Exocom::command().debug_assert();
    }

    #[test]
    fn any_other_words_are_an_unknown_command() {
        let exocom = Exocom::try_parse_from(["exocom", "foo", "--bar"]).unwrap();
        assert!(matches!(exocom.command, Some(Command::Unknown(words)) if words[0] == "foo"));
    }
}
