//! Measures ExoRelay side by side with its peers on one machine, in one run. `spec/bench/relay` and `spec/bench/broker`
//! install what they need and start it; README.md says what is measured and how.

mod bars;
mod brokers;
mod cells;
mod compare;
mod contenders;
mod error;
mod load;
mod options;
mod orders;
mod processes;
mod report;
mod results;
mod samples;
mod services;
mod startup;
mod streams;
mod table;
mod usage;

use std::process::ExitCode;

use clap::Parser as _;

use error::Error;
use options::{Command, Options};

fn main() -> ExitCode {
    match run(Options::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("exorelay-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<bool, Error> {
    match command {
        Command::Compare(options) => return compare::compare(&options),
        Command::Brokers(options) => return brokers::compare(&options),
        Command::Streams(options) => return streams::compare(&options),
        Command::Requester(client) => runtime(client.threads)?.block_on(brokers::requester(&client))?,
        Command::Responder(client) => runtime(client.threads)?.block_on(brokers::responder(&client))?,
        Command::Fan(client) => runtime(client.threads)?.block_on(brokers::fan(&client))?,
        Command::Idle { client, count } => runtime(client.threads)?.block_on(brokers::idle(&client, count))?,
        Command::Echo => service_runtime()?.block_on(services::echo())?,
        Command::Webhook => service_runtime()?.block_on(services::webhook())?,
        Command::NatsResponder { server } => {
            service_runtime()?.block_on(services::nats_responder(server, "nats-responder"))?
        }
    }
    Ok(true)
}

/// The runtime that `#[tokio::main]` makes: one worker per core.
fn service_runtime() -> Result<tokio::runtime::Runtime, Error> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// One thread runs everything itself; more are workers.
fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, Error> {
    if threads <= 1 {
        return Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?);
    }
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?)
}
