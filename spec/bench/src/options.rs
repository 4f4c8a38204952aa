//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// ExoRelay and its peers, side by side in one run.
#[derive(Debug, Parser)]
#[command(name = "exorelay-bench")]
pub struct Options {
    /// What to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The benchmark itself, and the services that it runs as processes of their own.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure every contender and print the tables
    Compare(Box<Compare>),
    /// The HTTP service behind the plain contenders: answers with the body it got
    Echo,
    /// The service behind a sidecar: answers POST /run/echo with the payload it got
    Webhook,
    /// The service behind NATS: answers on subject `echo`
    NatsResponder {
        /// Address of nats-server
        #[arg(long)]
        server: SocketAddr,
    },
}

/// How much to measure, and where the programs are.
#[derive(Debug, Args)]
pub struct Compare {
    /// Rounds over all contenders; medians are reported [default: 5, with --quick 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
    /// Seconds measured per cell and round [default: 3, with --quick 1]
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<Duration>,
    /// Run these contenders alone: axum, exorelay, exorelay-2, envoy, envoy-2, nats, moleculer
    #[arg(long, value_delimiter = ',', value_parser = crate::contenders::Name::parse)]
    pub only: Vec<crate::contenders::Name>,
    /// A short run that shows whether everything works; its figures are rough
    #[arg(long)]
    pub quick: bool,
    /// Print Markdown tables
    #[arg(long)]
    pub markdown: bool,
    /// Threads of the load generator
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub load_threads: u32,
    /// Measure this exorelay binary instead of building one
    #[arg(long)]
    pub exorelay: Option<PathBuf>,
    /// The nats-server binary
    #[arg(long, hide = true)]
    pub nats_server: Option<PathBuf>,
    /// The envoy binary
    #[arg(long, hide = true)]
    pub envoy: Option<PathBuf>,
    /// The folder that holds Moleculer's node_modules
    #[arg(long, hide = true)]
    pub moleculer: Option<PathBuf>,
    /// The folder of the Moleculer scripts
    #[arg(long, hide = true)]
    pub moleculer_scripts: Option<PathBuf>,
    /// A program that could not be had, and why, as PROGRAM=WHY
    #[arg(long, hide = true, value_parser = absent)]
    pub absent: Vec<(String, String)>,
}

impl Compare {
    /// Rounds over all contenders.
    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 2 } else { 5 })
    }

    /// Time measured per cell and round.
    pub fn measured(&self) -> Duration {
        self.seconds.unwrap_or(Duration::from_secs(if self.quick { 1 } else { 3 }))
    }

    /// Time each cell runs before it is measured, on the same connections.
    pub fn warm_up(&self) -> Duration {
        Duration::from_millis(if self.quick { 300 } else { 500 })
    }

    /// Why `program` is not here, when the script that installs it said so.
    pub fn absence(&self, program: &str) -> String {
        let told = self.absent.iter().find(|(name, _)| name == program).map(|(_, why)| why.clone());
        told.unwrap_or_else(|| format!("no path to {program} was given; start the benchmark by its script"))
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    if !(0.2..=600.0).contains(&value) {
        return Err(format!("{text} is outside 0.2 to 600 seconds"));
    }
    Ok(Duration::from_secs_f64(value))
}

fn absent(text: &str) -> Result<(String, String), String> {
    let (program, why) = text.split_once('=').ok_or("expected PROGRAM=WHY")?;
    Ok((program.to_owned(), why.to_owned()))
}
