//! The `exorelay` command line and its subcommands.

use clap::{CommandFactory, Parser, Subcommand};

use super::Error;
use super::access::AccessCommand;
use super::activity::Activity;
use super::broker::Broker;
use super::completions::Completions;
use super::config::ConfigCommand;
use super::dead_letters::DeadLettersCommand;
use super::dev::Dev;
use super::drain::Drain;
use super::health::Health;
use super::lint::Lint;
use super::ps::Ps;
use super::request::Request;
use super::run::Run;
use super::runtime::{Threads, server_threads, sidecar_threads};
use super::send::Send;
use super::stream::StreamCommand;
use super::streams::Streams;
use super::tail::Tail;

/// A message relay sidecar: puts a service written in any language on a message bus
#[derive(Debug, Parser)]
#[command(
    name = "exorelay",
    version,
    arg_required_else_help = true,
    after_help = "\
Example: start the servers in one shell, send a request from another
  exorelay dev
  exorelay request hello '{\"name\":\"world\"}'

Exit codes: 0 success, 1 failure, 64 wrong usage, 78 wrong configuration"
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
    Ps(Ps),
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    #[command(subcommand)]
    Stream(StreamCommand),
    #[command(subcommand)]
    Access(AccessCommand),
    #[command(subcommand)]
    Config(ConfigCommand),
    Lint(Lint),
    Health(Health),
    Drain(Drain),
    Completions(Completions),
}

impl Options {
    /// Returns the threads to run the command on. Errors: `TOKIO_WORKER_THREADS` is not a number of at least 1.
    pub fn threads(&self) -> Result<Threads, Error> {
        match self.command {
            // A sidecar shares the machine with its service.
            Command::Dev(_) | Command::Run(_) => sidecar_threads().map(Threads::Many),
            Command::Broker(_) => server_threads().map(Threads::Many),
            // Streams serve their connections on dedicated worker threads; all others are tools.
            Command::Streams(_)
            | Command::Send(_)
            | Command::Request(_)
            | Command::Tail(_)
            | Command::Activity(_)
            | Command::Ps(_)
            | Command::DeadLetters(_)
            | Command::Stream(_)
            | Command::Access(_)
            | Command::Config(_)
            | Command::Lint(_)
            | Command::Health(_)
            | Command::Drain(_)
            | Command::Completions(_) => Ok(Threads::One),
        }
    }

    /// Returns true for a server, whose errors have the form of its log.
    pub fn is_server(&self) -> bool {
        match &self.command {
            Command::Dev(_) | Command::Run(_) | Command::Broker(_) => true,
            Command::Streams(streams) => streams.is_server(),
            _ => false,
        }
    }

    /// Runs the command to its end. Not cancel-safe: a dropped call has done a part of it.
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
            Command::Ps(ps) => ps.run().await,
            Command::DeadLetters(dead_letters) => dead_letters.run().await,
            Command::Stream(stream) => stream.run().await,
            Command::Access(access) => access.run(),
            Command::Config(config) => config.run(),
            Command::Lint(lint) => lint.run(),
            Command::Health(health) => health.run().await,
            Command::Drain(drain) => drain.run().await,
            Command::Completions(completions) => completions.run(Options::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_definition_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_description_and_an_example() {
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
}
