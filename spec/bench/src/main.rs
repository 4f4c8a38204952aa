//! Measures ExoRelay side by side with its peers on one machine, in one run. `spec/bench/relay` installs what it needs
//! and starts it; README.md says what is measured and how.

mod bars;
mod cells;
mod compare;
mod contenders;
mod error;
mod load;
mod options;
mod processes;
mod report;
mod results;
mod services;
mod startup;
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
        Command::Echo => service_runtime()?.block_on(services::echo())?,
        Command::Webhook => service_runtime()?.block_on(services::webhook())?,
        Command::NatsResponder { server } => service_runtime()?.block_on(services::nats_responder(server))?,
    }
    Ok(true)
}

/// What `#[tokio::main]` gives a service: one worker per core.
fn service_runtime() -> Result<tokio::runtime::Runtime, Error> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
