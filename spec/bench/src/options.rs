//! The command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::brokers::Bus;
use crate::error::Error;
use crate::table::Style;

/// ExoRelay and its peers, side by side in one run.
#[derive(Debug, Parser)]
#[command(name = "exorelay-bench")]
pub struct Options {
    /// The benchmark to run.
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
    /// Measure durable streams and their peers, and print the tables
    Streams(Box<Streams>),
    /// Measure the broker and its peers, and print the tables
    Brokers(Box<Brokers>),
    /// A client of a broker that makes requests as its stdin orders
    Requester(Client),
    /// A client of a broker that answers every request with the payload it got
    Responder(Client),
    /// A client of a broker that publishes to a hundred receivers of its own as its stdin orders
    Fan(Client),
    /// A client of a broker that holds connections and does nothing
    Idle {
        /// Which broker, and how it is reached
        #[command(flatten)]
        client: Client,
        /// Connections
        #[arg(long)]
        count: u32,
    },
}

/// A client of a broker: the benchmark runs it as a process of its own.
#[derive(Debug, Args)]
pub struct Client {
    /// Transport to the broker
    #[arg(long, value_enum)]
    pub bus: Bus,
    /// Address of the broker; the embedded one has none
    #[arg(long)]
    pub broker: Option<SocketAddr>,
    /// Threads of the client
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
}

/// Options of the relay's benchmark.
#[derive(Debug, Args)]
pub struct Compare {
    /// Extent and output.
    #[command(flatten)]
    pub extent: Extent,
    /// Run these contenders alone: axum, exorelay, exorelay-2, envoy, envoy-2, nats, moleculer
    #[arg(long, value_delimiter = ',', value_parser = crate::contenders::Name::parse)]
    pub only: Vec<crate::contenders::Name>,
    /// Threads of the load generator
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub load_threads: u32,
    /// Paths of the programs.
    #[command(flatten)]
    pub programs: Programs,
}

/// Options of the broker's benchmark.
#[derive(Debug, Args)]
pub struct Brokers {
    /// Extent and output.
    #[command(flatten)]
    pub extent: Extent,
    /// Run these contenders alone: websocket, http, embedded, sockets, nats, fan-websocket, fan-nats
    #[arg(long, value_delimiter = ',', value_parser = crate::brokers::Name::parse)]
    pub only: Vec<crate::brokers::Name>,
    /// Idle connections that the brokers hold while their memory is read; 0 leaves this out
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(0..=15_000))]
    pub idle: u32,
    /// Threads of each requester and responder
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub load_threads: u32,
    /// Paths of the programs.
    #[command(flatten)]
    pub programs: Programs,
}

/// Options of the benchmark of durable streams.
#[derive(Debug, Args)]
pub struct Streams {
    /// Extent and output.
    #[command(flatten)]
    pub extent: Extent,
    /// Run these contenders alone: exorelay, rust, node, exorelay-disk, rust-wal, node-file, nginx
    #[arg(long, value_delimiter = ',', value_parser = crate::streams::Name::parse)]
    pub only: Vec<crate::streams::Name>,
    /// Run these loads alone
    #[arg(long, value_delimiter = ',', value_enum)]
    pub loads: Vec<crate::streams::Family>,
    /// Streams that a store has when it is opened; peers may get fewer
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub streams: u64,
    /// Threads of the load generator
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub load_threads: u32,
    /// Folder for the stores, on a real disk
    #[arg(long, hide = true)]
    pub scratch: PathBuf,
    /// Paths of the programs.
    #[command(flatten)]
    pub programs: Programs,
}

/// Extent of the run, and its output.
#[derive(Debug, Args)]
pub struct Extent {
    /// Rounds over all contenders; medians are reported [default: 5, with --quick 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
    /// Seconds measured per cell and round [default: 3, with --quick 1]
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<Duration>,
    /// A short run that shows whether everything works; its figures are rough
    #[arg(long)]
    pub quick: bool,
    /// Print Markdown tables
    #[arg(long)]
    pub markdown: bool,
}

/// Paths of the contenders' programs.
#[derive(Debug, Args)]
pub struct Programs {
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
    /// The durable-streams-server binary
    #[arg(long, hide = true)]
    pub durable_streams: Option<PathBuf>,
    /// The folder that holds the reference server of Durable Streams and the script that starts it
    #[arg(long, hide = true)]
    pub node_streams: Option<PathBuf>,
    /// The nginx binary
    #[arg(long, hide = true)]
    pub nginx: Option<PathBuf>,
    /// The fio binary
    #[arg(long, hide = true)]
    pub fio: Option<PathBuf>,
    /// A program that could not be had, and why, as PROGRAM=WHY
    #[arg(long, hide = true, value_parser = absent)]
    pub absent: Vec<(String, String)>,
}

impl Extent {
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

    /// Returns the style of tables.
    pub fn style(&self) -> Style {
        if self.markdown { Style::Markdown } else { Style::Plain }
    }
}

impl Programs {
    /// The path of the program `name`. Errors: [`Error::Absent`] with the reason.
    pub fn path<'a>(&'a self, path: &'a Option<PathBuf>, name: &str) -> Result<&'a Path, Error> {
        path.as_deref().ok_or_else(|| Error::Absent(self.absence(name)))
    }

    /// Returns the reason why `program` is absent, if the script that installs it gave one.
    fn absence(&self, program: &str) -> String {
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
