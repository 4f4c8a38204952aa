//! The commands there are.

use std::num::NonZeroUsize;

use clap::{Parser, Subcommand};

use super::Error;
use super::activity::Activity;
use super::broker::Broker;
use super::completions::Completions;
use super::config::ConfigCommand;
use super::dev::Dev;
use super::health::Health;
use super::lint::Lint;
use super::request::Request;
use super::run::Run;
use super::send::Send;
use super::stream::StreamCommand;
use super::streams::Streams;
use super::tail::Tail;

/// How many threads a server uses, if that is to be said.
const WORKER_THREADS: &str = "TOKIO_WORKER_THREADS";

/// A message relay sidecar: puts a service written in any language on a message bus
#[derive(Debug, Parser)]
#[command(
    name = "exorelay",
    version,
    arg_required_else_help = true,
    after_help = "\
Example: in one shell the servers, in another a question
  exorelay dev
  exorelay request hello '{\"name\":\"world\"}'

Exit codes: 0 done, 1 failed, 64 wrong usage, 78 wrong configuration"
)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(Dev),
    Run(Box<Run>),
    Broker(Broker),
    Streams(Streams),
    Send(Send),
    Request(Request),
    Tail(Box<Tail>),
    Activity(Activity),
    #[command(subcommand)]
    Stream(StreamCommand),
    #[command(subcommand)]
    Config(ConfigCommand),
    Lint(Lint),
    Health(Health),
    Completions(Completions),
}

/// What a command runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// A tool: one call, then the end. Or a server whose connections have workers.
    One,
    /// A server: this many.
    Many(NonZeroUsize),
}

impl Options {
    /// What the command runs on. Errors: `TOKIO_WORKER_THREADS` is no number from 1.
    pub fn threads(&self) -> Result<Threads, Error> {
        match self.command {
            // A sidecar shares the machine with its service; and a thread that is not woken by another costs less.
            Command::Dev(_) | Command::Run(_) => sidecar_threads().map(Threads::Many),
            Command::Broker(_) => server_threads().map(Threads::Many),
            // Its requests are answered by threads of their own.
            Command::Streams(_)
            | Command::Send(_)
            | Command::Request(_)
            | Command::Tail(_)
            | Command::Activity(_)
            | Command::Stream(_)
            | Command::Config(_)
            | Command::Lint(_)
            | Command::Health(_)
            | Command::Completions(_) => Ok(Threads::One),
        }
    }

    /// Runs the command to its end.
    pub async fn run(self) -> Result<(), Error> {
        match self.command {
            Command::Dev(dev) => dev.run().await,
            Command::Run(run) => run.run().await,
            Command::Broker(broker) => broker.run().await,
            Command::Streams(streams) => streams.run().await,
            Command::Send(send) => send.run().await,
            Command::Request(request) => request.run().await,
            Command::Tail(tail) => tail.run().await,
            Command::Activity(activity) => activity.run().await,
            Command::Stream(stream) => stream.run().await,
            Command::Config(config) => config.run(),
            Command::Lint(lint) => lint.run(),
            Command::Health(health) => health.run().await,
            Command::Completions(completions) => completions.run(),
        }
    }
}

/// How many threads work beside a service: what the environment says, else half of those that can run at once.
pub(super) fn sidecar_threads() -> Result<NonZeroUsize, Error> {
    let half = || NonZeroUsize::new(cores().get() / 2).unwrap_or(NonZeroUsize::MIN);
    Ok(said_threads()?.unwrap_or_else(half))
}

/// How many threads work where nobody else does: what the environment says, else all that can run at once.
pub(super) fn server_threads() -> Result<NonZeroUsize, Error> {
    Ok(said_threads()?.unwrap_or_else(cores))
}

fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn said_threads() -> Result<Option<NonZeroUsize>, Error> {
    worker_threads(std::env::var(WORKER_THREADS).ok().as_deref())
}

fn worker_threads(text: Option<&str>) -> Result<Option<NonZeroUsize>, Error> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Error::WorkerThreads { variable: WORKER_THREADS, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_has_no_contradictions() {
        Options::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_and_ends_with_an_example() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            if command.has_subcommands() {
                return command.get_subcommands().for_each(check);
            }
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.starts_with("Example"), "{}: {example:?}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
        check(&Options::command());
    }

    #[test]
    fn worker_threads_are_a_number_from_one() {
        assert_eq!(worker_threads(Some("3")).unwrap(), NonZeroUsize::new(3));
        assert_eq!(worker_threads(None).unwrap(), None);
        assert!(worker_threads(Some("0")).is_err());
        assert!(worker_threads(Some("many")).is_err());
    }
}
