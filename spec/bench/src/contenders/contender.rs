//! One contender: who it is, how it is started, called and read.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::{envoy, exorelay, moleculer, nats};
use crate::cells::{Cell, Shape};
use crate::error::Error;
use crate::load::{self, Call as _, Figures, HttpTarget, NatsTarget, Phases};
use crate::options::Compare;
use crate::processes::{Process, Processes};
use crate::usage::{self, Reading};

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

/// The role under which the load generator's own figures appear.
pub const LOAD: &str = "load";

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

/// One cell of one contender in one round.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What the calls did.
    pub figures: Figures,
    /// What every process spent.
    pub spent: Vec<Spent>,
    /// Cores that everything else on the machine kept busy meanwhile.
    pub foreign_cores: f64,
}

/// What one process spent on a cell.
#[derive(Clone, Debug)]
pub struct Spent {
    /// [`LOAD`] or the process's role.
    pub role: &'static str,
    /// CPU time per answered call, in microseconds.
    pub cpu_us: f64,
    /// Resident memory right after the cell, in MiB.
    pub resident_mib: f64,
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

    /// Whether this is the product, whose absence fails the run.
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
    pub fn start(name: Name, options: &Compare, processes: &Processes, runtime: &Runtime) -> Result<Self, Error> {
        let (running, driver) = match name {
            Name::Axum => direct(processes)?,
            Name::Exorelay => exorelay::start_one(options, processes, runtime)?,
            Name::ExorelayTwo => exorelay::start_two(options, processes, runtime)?,
            Name::Envoy => envoy::start(options, processes, runtime, &["proxy"])?,
            Name::EnvoyTwo => envoy::start(options, processes, runtime, &["proxy 1", "proxy 2"])?,
            Name::Nats => nats::start(options, processes)?,
            Name::Moleculer => moleculer::start(options, processes)?,
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
            Driver::Moleculer => self.measure_moleculer(cell, phases)?,
        };
        let load::Measured { figures, before, after } = measured;
        let spent = self.measured_processes().into_iter().zip(before.cpu_seconds.iter().zip(&after.cpu_seconds)).map(
            |((role, pid), (before, after))| {
                let cpu_us = (after - before) * 1e6 / figures.requests.max(1) as f64;
                Ok(Spent { role, cpu_us, resident_mib: usage::resident_mib(pid)? })
            },
        );
        let spent = spent.collect::<Result<_, Error>>()?;
        Ok(Sample { spent, foreign_cores: after.foreign_cores_since(&before), figures })
    }

    fn measure_moleculer(&mut self, cell: &Cell, phases: Phases) -> Result<load::Measured<Reading>, Error> {
        let warm_up = moleculer::order(&mut self.processes, cell, phases.warm_up)?;
        let before = self.read_cpu()?;
        let mut figures = moleculer::order(&mut self.processes, cell, phases.measured)?;
        let after = self.read_cpu()?;
        figures.errors += warm_up.errors;
        figures.first_error = warm_up.first_error.or(figures.first_error);
        Ok(load::Measured { figures, before, after })
    }

    /// Who spends: this process, unless the contender makes its own load, then the contender's.
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
pub fn own_service(processes: &Processes, subcommand: &[&str]) -> Result<Process, Error> {
    processes.start("service", Command::new(std::env::current_exe()?).args(subcommand))
}

fn direct(processes: &Processes) -> Result<(Vec<Process>, Driver), Error> {
    let mut service = own_service(processes, &["echo"])?;
    let (address, _) = service.ready("echo")?;
    Ok((vec![service], Driver::Http(HttpTarget { address, path: "/echo" })))
}

pub(super) fn program<'a>(path: &'a Option<PathBuf>, options: &Compare, name: &str) -> Result<&'a Path, Error> {
    path.as_deref().ok_or_else(|| Error::Absent(options.absence(name)))
}
