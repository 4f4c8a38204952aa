//! One contender: who it is, how it is started, called and read.

use std::process::Command;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::{envoy, exorelay, moleculer, nats};
use crate::cells::{Cell, Shape};
use crate::error::Error;
use crate::load::{self, Call as _, HttpTarget, NatsTarget, Phases};
use crate::options::Programs;
use crate::orders;
use crate::processes::{Process, Processes};
use crate::samples::{LOAD, Sample};
use crate::usage::Reading;

const FIRST_CALL_WAIT: Duration = Duration::from_secs(15);
const FIRST_CALL_PAUSE: Duration = Duration::from_millis(50);

/// A contender, by the name that `--only` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// The client calls the service: the limit.
    Axum,
    /// One sidecar with the embedded bus between them.
    Exorelay,
    /// Two sidecars and a broker between them.
    ExorelayTwo,
    /// One Envoy between them.
    Envoy,
    /// Two Envoys in a chain between them.
    EnvoyTwo,
    /// NATS request/reply.
    Nats,
    /// Two Moleculer nodes over TCP.
    Moleculer,
}

/// A started contender.
pub struct Contender {
    /// Which.
    pub name: Name,
    /// Its processes, in the order in which a call meets them.
    pub processes: Vec<Process>,
    driver: Driver,
}

pub(super) enum Driver {
    Http(HttpTarget),
    Nats(NatsTarget),
    /// The first process makes the load itself.
    Moleculer,
}

impl Name {
    /// All contenders, in the order of the tables.
    pub const ALL: [Self; 7] =
        [Self::Axum, Self::Exorelay, Self::ExorelayTwo, Self::Envoy, Self::EnvoyTwo, Self::Nats, Self::Moleculer];

    /// The name on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Axum => "axum",
            Self::Exorelay => "exorelay",
            Self::ExorelayTwo => "exorelay-2",
            Self::Envoy => "envoy",
            Self::EnvoyTwo => "envoy-2",
            Self::Nats => "nats",
            Self::Moleculer => "moleculer",
        }
    }

    /// The name in the tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Axum => "axum echo, no hop (the limit)",
            Self::Exorelay => "ExoRelay, one sidecar",
            Self::ExorelayTwo => "ExoRelay, two sidecars + broker",
            Self::Envoy => "Envoy, one hop",
            Self::EnvoyTwo => "Envoy, two hops",
            Self::Nats => "NATS request/reply",
            Self::Moleculer => "Moleculer over TCP",
        }
    }

    /// Returns true for the product, whose absence fails the run.
    pub fn is_ours(self) -> bool {
        match self {
            Self::Exorelay | Self::ExorelayTwo => true,
            Self::Axum | Self::Envoy | Self::EnvoyTwo | Self::Nats | Self::Moleculer => false,
        }
    }

    /// Errors: names the words that exist.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|name| name.word() == text);
        found.ok_or_else(|| format!("expected one of {}", Self::ALL.map(Self::word).join(", ")))
    }
}

impl Contender {
    /// Starts the contender and waits until it answers a call as it should.
    pub fn start(name: Name, programs: &Programs, processes: &Processes, runtime: &Runtime) -> Result<Self, Error> {
        let (running, driver) = match name {
            Name::Axum => direct(processes)?,
            Name::Exorelay => exorelay::start_one(programs, processes, runtime)?,
            Name::ExorelayTwo => exorelay::start_two(programs, processes, runtime)?,
            Name::Envoy => envoy::start(programs, processes, runtime, &["proxy"])?,
            Name::EnvoyTwo => envoy::start(programs, processes, runtime, &["proxy 1", "proxy 2"])?,
            Name::Nats => nats::start(programs, processes)?,
            Name::Moleculer => moleculer::start(programs, processes)?,
        };
        let mut contender = Self { name, processes: running, driver };
        contender.first_call(runtime)?;
        Ok(contender)
    }

    /// Runs `cell` once: warm-up, then the measured phase. Failed calls are in the sample; an error means that a
    /// process is gone.
    pub fn measure(&mut self, cell: &Cell, phases: Phases, runtime: &Runtime) -> Result<Sample, Error> {
        self.sample(cell, phases, runtime).map_err(|error| match self.whose(&error) {
            Some(process) => process.not_ready("ended during the run".to_owned()),
            None => error,
        })
    }

    fn whose(&self, error: &Error) -> Option<&Process> {
        let Error::Usage { pid, .. } = error else { return None };
        self.processes.iter().find(|process| process.pid == *pid)
    }

    fn sample(&mut self, cell: &Cell, phases: Phases, runtime: &Runtime) -> Result<Sample, Error> {
        let measured = match &self.driver {
            Driver::Http(target) => {
                let callers = target.callers(cell.callers(), &cell.payload());
                runtime.block_on(load::run(callers, cell, phases, || self.read_cpu()))?
            }
            Driver::Nats(target) => runtime.block_on(async {
                let callers = target.callers(cell.callers(), &cell.payload()).await?;
                load::run(callers, cell, phases, || self.read_cpu()).await
            })?,
            Driver::Moleculer => orders::measure(&mut self.processes, cell, phases)?,
        };
        Sample::of(measured, &self.measured_processes())
    }

    /// Process of the load generator: this one, unless the contender makes its own load.
    fn measured_processes(&self) -> Vec<(&'static str, u32)> {
        let own = match self.driver {
            Driver::Http(_) | Driver::Nats(_) => Some((LOAD, std::process::id())),
            Driver::Moleculer => None,
        };
        own.into_iter().chain(self.processes.iter().map(|process| (process.role, process.pid))).collect()
    }

    fn read_cpu(&self) -> Result<Reading, Error> {
        Reading::now(self.measured_processes().into_iter().map(|(_, pid)| pid))
    }

    /// A contender whose parts are ready may still need a moment to know each other. After that every error counts.
    fn first_call(&mut self, runtime: &Runtime) -> Result<(), Error> {
        let payload = Cell { title: "", shape: Shape::Closed { in_flight: 1 }, payload_bytes: 64 }.payload();
        let deadline = Instant::now() + FIRST_CALL_WAIT;
        loop {
            let answer = match &self.driver {
                Driver::Http(target) => runtime.block_on(async {
                    let call = async { target.callers(1, &payload)[0].call().await };
                    let answer = tokio::time::timeout(FIRST_CALL_WAIT, call).await;
                    answer.unwrap_or_else(|_| Err("no answer".to_owned()))
                }),
                Driver::Nats(target) => runtime.block_on(async {
                    let mut callers = target.callers(1, &payload).await.map_err(|error| error.to_string())?;
                    callers[0].call().await
                }),
                // The caller node announces itself when it has found the service.
                Driver::Moleculer => Ok(()),
            };
            match answer {
                Ok(()) => return Ok(()),
                Err(last) if Instant::now() > deadline => {
                    return Err(Error::FirstCall { seconds: FIRST_CALL_WAIT.as_secs(), last });
                }
                Err(_) => std::thread::sleep(FIRST_CALL_PAUSE),
            }
        }
    }
}

/// A sub-command of this program, run as a process of its own.
pub fn own_service(processes: &Processes, role: &'static str, arguments: &[&str]) -> Result<Process, Error> {
    processes.start(role, Command::new(std::env::current_exe()?).args(arguments))
}

fn direct(processes: &Processes) -> Result<(Vec<Process>, Driver), Error> {
    let mut service = own_service(processes, "service", &["echo"])?;
    let (address, _) = service.ready("echo")?;
    Ok((vec![service], Driver::Http(HttpTarget { address, path: "/echo" })))
}
