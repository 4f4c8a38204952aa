//! The contenders that carry messages between processes, and their start.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::cells::{Cell, Shape};
use crate::contenders::{own_service, start_nats_server};
use crate::error::Error;
use crate::load::Phases;
use crate::options::{Brokers, Programs};
use crate::orders;
use crate::processes::{Process, Processes};
use crate::samples::Sample;

const FIRST_CALL_WAIT: Duration = Duration::from_secs(15);
const FIRST_CALL_LENGTH: Duration = Duration::from_millis(200);

/// A contender, by the name that `--only` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Two relays and the broker, over WebSockets.
    WebSocket,
    /// Two relays and the broker, over HTTP.
    Http,
    /// Two relays and the broker in one process.
    Embedded,
    /// Two services of the WebSocket era, which have no relay, and the broker.
    Sockets,
    /// NATS request/reply.
    Nats,
    /// The broker, one service of the WebSocket era that publishes, and a hundred that receive.
    FanWebSocket,
    /// NATS, one connection that publishes, and a hundred that subscribe.
    FanNats,
}

/// Route from one client to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bus {
    /// A relay over a WebSocket.
    Websocket,
    /// A relay over HTTP.
    Http,
    /// Relays and broker in the client's own process.
    Embedded,
    /// A WebSocket without a relay, as services of the WebSocket era.
    Sockets,
    /// NATS.
    Nats,
}

/// A started contender: its processes, the one that makes the load first.
pub struct Contender {
    /// Which.
    pub name: Name,
    processes: Vec<Process>,
}

/// All loads, in the order in which they run.
pub const CELLS: [Cell; 5] = [
    Cell { title: "1 round trip in flight, 256 B", shape: Shape::Closed { in_flight: 1 }, payload_bytes: 256 },
    Cell { title: "16 round trips in flight, 256 B", shape: Shape::Closed { in_flight: 16 }, payload_bytes: 256 },
    Cell { title: "64 round trips in flight, 256 B", shape: Shape::Closed { in_flight: 64 }, payload_bytes: 256 },
    Cell { title: "256 round trips in flight, 256 B", shape: Shape::Closed { in_flight: 256 }, payload_bytes: 256 },
    Cell {
        title: "deliveries from 1 to 100 roles, 16 messages in flight, 256 B",
        shape: Shape::Closed { in_flight: 16 },
        payload_bytes: 256,
    },
];

/// Index in [`CELLS`] of the load that throughput is compared under.
pub const SATURATED: usize = 2;
/// Index in [`CELLS`] of the fan-out.
pub const FAN: usize = 4;

impl Name {
    /// All contenders, in the order of the tables.
    pub const ALL: [Self; 7] =
        [Self::WebSocket, Self::Http, Self::Embedded, Self::Sockets, Self::Nats, Self::FanWebSocket, Self::FanNats];

    /// The name on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Http => "http",
            Self::Embedded => "embedded",
            Self::Sockets => "sockets",
            Self::Nats => "nats",
            Self::FanWebSocket => "fan-websocket",
            Self::FanNats => "fan-nats",
        }
    }

    /// The name in the tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::WebSocket => "ExoCom, relays over WebSocket",
            Self::Http => "ExoCom, relays over HTTP",
            Self::Embedded => "ExoCom, relays in one process",
            Self::Sockets => "ExoCom, services without relays",
            Self::Nats => "NATS request/reply",
            Self::FanWebSocket => "ExoCom, services without relays",
            Self::FanNats => "NATS, a connection each",
        }
    }

    fn bus(self) -> Bus {
        match self {
            Self::WebSocket => Bus::Websocket,
            Self::Http => Bus::Http,
            Self::Embedded => Bus::Embedded,
            Self::Sockets | Self::FanWebSocket => Bus::Sockets,
            Self::Nats | Self::FanNats => Bus::Nats,
        }
    }

    /// Returns true for the product, whose absence fails the run.
    pub fn is_ours(self) -> bool {
        match self {
            Self::WebSocket | Self::Http | Self::Embedded | Self::Sockets | Self::FanWebSocket => true,
            Self::Nats | Self::FanNats => false,
        }
    }

    /// Returns true if it runs the load [`CELLS`]`[cell]`.
    pub fn takes(self, cell: usize) -> bool {
        match self {
            Self::WebSocket | Self::Http | Self::Embedded | Self::Sockets | Self::Nats => cell != FAN,
            Self::FanWebSocket | Self::FanNats => cell == FAN,
        }
    }

    /// Errors: names the words that exist.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|name| name.word() == text);
        found.ok_or_else(|| format!("expected one of {}", Self::ALL.map(Self::word).join(", ")))
    }
}

impl Bus {
    /// The name on the command line.
    pub fn word(self) -> String {
        self.to_possible_value().expect("no way to a bus is hidden").get_name().to_owned()
    }
}

impl Contender {
    /// Starts the contender and waits until it answers a call as it should.
    pub fn start(name: Name, options: &Brokers, processes: &Processes) -> Result<Self, Error> {
        let bus = name.bus();
        let broker = match bus {
            Bus::Embedded => None,
            Bus::Websocket | Bus::Http | Bus::Sockets | Bus::Nats => {
                Some(start_broker(bus, &options.programs, processes)?)
            }
        };
        let (broker, address) = broker.unzip();
        let client = |role| client(processes, role, bus, (address, options.load_threads));
        let mut running = Vec::new();
        match (name.takes(FAN), address) {
            (true, _) => running.push(client("fan")?),
            (false, None) => running.push(client("requester")?),
            (false, Some(_)) => {
                let responder = client("responder")?;
                running.extend([client("requester")?, responder]);
            }
        }
        // In the order in which a message meets them.
        broker.into_iter().for_each(|broker| running.insert(1, broker));
        let mut contender = Self { name, processes: running };
        contender.first_call()?;
        Ok(contender)
    }

    /// Runs `cell` once: warm-up, then the measured phase. Failed calls are in the sample; an error means that a
    /// process is gone.
    pub fn measure(&mut self, cell: &Cell, phases: Phases) -> Result<Sample, Error> {
        let who: Vec<_> = self.processes.iter().map(|process| (process.role, process.pid)).collect();
        let measured = orders::measure(&mut self.processes, cell, phases);
        measured.and_then(|measured| Sample::of(measured, &who)).map_err(|error| match self.whose(&error) {
            Some(process) => process.not_ready("ended during the run".to_owned()),
            None => error,
        })
    }

    fn whose(&self, error: &Error) -> Option<&Process> {
        let Error::Usage { pid, .. } = error else { return None };
        self.processes.iter().find(|process| process.pid == *pid)
    }

    /// A contender whose parts are ready may still need a moment to know each other. After that every error counts.
    fn first_call(&mut self) -> Result<(), Error> {
        let cell = Cell { title: "", shape: Shape::Closed { in_flight: 1 }, payload_bytes: 64 };
        let deadline = Instant::now() + FIRST_CALL_WAIT;
        let caller = self.processes.first_mut().expect("every contender has a process that makes its load");
        loop {
            let figures = orders::order(caller, &cell, FIRST_CALL_LENGTH)?;
            if figures.errors == 0 && figures.requests > 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                let last = figures.first_error.unwrap_or_else(|| "no call was answered".to_owned());
                return Err(Error::FirstCall { seconds: FIRST_CALL_WAIT.as_secs(), last });
            }
        }
    }
}

/// Starts the broker behind `bus` on a free port.
pub fn start_broker(bus: Bus, programs: &Programs, processes: &Processes) -> Result<(Process, SocketAddr), Error> {
    if bus == Bus::Nats {
        return start_nats_server(programs, processes);
    }
    let exorelay = programs.path(&programs.exorelay, "exorelay")?;
    let mut broker = processes.start("broker", Command::new(exorelay).args(["broker", "--listen", "127.0.0.1:0"]))?;
    let (address, _) = broker.ready("broker")?;
    Ok((broker, address))
}

/// Starts this program as a client of a broker, and waits until it is connected.
fn client(
    processes: &Processes,
    role: &'static str,
    bus: Bus,
    (broker, threads): (Option<SocketAddr>, u32),
) -> Result<Process, Error> {
    let (bus, threads) = (bus.word(), threads.to_string());
    let mut arguments = vec![role, "--bus", &bus, "--threads", &threads];
    let broker = broker.map(|broker| broker.to_string());
    if let Some(broker) = &broker {
        arguments.extend(["--broker", broker]);
    }
    let mut process = own_service(processes, role, &arguments)?;
    process.ready(role)?;
    Ok(process)
}
