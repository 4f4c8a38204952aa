//! The run: every server is started once, then all take turns, load by load and round by round.

use std::time::Duration;

use tokio::runtime::Runtime;

use super::contender::{Keeps, Name};
use super::disk::{self, Disk};
use super::loads::{Content, Family, Load, loads};
use super::memory::{self, Memory};
use super::opening::{self, Opening};
use super::report;
use super::turns::Contender;
use crate::compare::end_all_on_signal;
use crate::error::Error;
use crate::load::Phases;
use crate::options::Streams;
use crate::processes::Processes;
use crate::results::Results;

/// Measured, and before it, in each turn: there are many.
const TURN: (Duration, Duration) = (Duration::from_millis(700), Duration::from_millis(200));
const QUICK_TURN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_millis(100));

/// Results of a run.
#[derive(Default)]
pub struct Run {
    /// The samples.
    pub results: Results<Name>,
    /// Speed of the disk alone.
    pub disk: Option<Disk>,
    /// Large streams that had to be smaller, and their MiB.
    pub large: Vec<(Name, Content, f64)>,
    /// Memory of the servers.
    pub memory: Vec<Memory>,
    /// Time to open a store.
    pub opening: Vec<Opening>,
    /// Contenders that could not be started, and why.
    pub absent: Vec<(Name, String)>,
    /// Contenders that could not be measured to the end, and why.
    pub broken: Vec<(Name, String)>,
}

/// Measures, prints the report on stdout and progress on stderr. Returns whether there were no errors at all.
/// Every process it started, and every store, is gone when it returns, and also after SIGINT, SIGTERM or SIGHUP.
pub fn compare(options: &Streams) -> Result<bool, Error> {
    let processes = Processes::below(&options.scratch)?;
    end_all_on_signal(processes.clone())?;
    let runtime = crate::runtime(options.load_threads as usize)?;
    let mut run = Run::default();
    let names: Vec<Name> = Name::ALL.into_iter().filter(|name| wanted(options, *name)).collect();
    alone(&names, options, &processes, &runtime, &mut run);
    let loads = loads();
    let chosen: Vec<(usize, &Load)> =
        loads.iter().enumerate().filter(|(_, load)| wants(options, load.family())).collect();
    if !chosen.is_empty() {
        let mut contenders = Vec::new();
        for name in names {
            eprintln!("starting {}", name.word());
            match Contender::start(name, options, &processes, &runtime) {
                Ok(contender) => {
                    note_large(&contender, &mut run);
                    contenders.push(contender);
                }
                Err(error @ Error::Absent(_)) => absent(&mut run, name, &error),
                Err(error) => run.broken.push((name, error.to_string())),
            }
        }
        rounds(options, &chosen, &mut contenders, (&processes, &runtime), &mut run);
    }
    processes.end_all();
    print!("{}", report::report(&run, &loads, options));
    Ok(report::errors(&run, &loads).is_empty())
}

/// Measured length and warm-up of a turn.
pub fn phases(options: &Streams) -> Phases {
    let (measured, warm_up) = if options.extent.quick { QUICK_TURN } else { TURN };
    Phases { warm_up, measured: options.extent.seconds.unwrap_or(measured) }
}

/// Returns true if loads of this family were asked for.
pub fn wants(options: &Streams, family: Family) -> bool {
    options.loads.is_empty() || options.loads.contains(&family)
}

/// Measurements that run alone.
fn alone(names: &[Name], options: &Streams, processes: &Processes, runtime: &Runtime, run: &mut Run) {
    for name in names.iter().copied().filter(|name| *name != Name::Nginx) {
        if wants(options, Family::Memory) {
            eprintln!("memory: {}", name.word());
            match memory::measure(name, options, processes, runtime) {
                Ok(memory) => run.memory.push(memory),
                Err(error @ Error::Absent(_)) => absent(run, name, &error),
                Err(error) => run.broken.push((name, format!("memory: {error}"))),
            }
        }
        if wants(options, Family::Open) && name.keeps() == Keeps::Disk {
            eprintln!("opening: {}", name.word());
            match opening::measure(name, options, processes, runtime) {
                Ok(opening) => run.opening.push(opening),
                Err(error @ Error::Absent(_)) => absent(run, name, &error),
                Err(error) => run.broken.push((name, format!("opening: {error}"))),
            }
        }
    }
}

fn rounds(
    options: &Streams,
    chosen: &[(usize, &Load)],
    contenders: &mut Vec<Contender>,
    (processes, runtime): (&Processes, &Runtime),
    run: &mut Run,
) {
    let with_disk = chosen.iter().any(|(_, load)| load.family() == Family::Append);
    let mut disk = Vec::new();
    for round in 1..=options.extent.rounds() {
        if with_disk {
            eprintln!("round {round}: the disk");
            disk.push(disk::measure(options, processes));
        }
        for (at, load) in chosen {
            contenders.retain_mut(|contender| {
                let name = contender.name;
                if !name.takes(load) {
                    return true;
                }
                eprint!("round {round}: {}: {}: ", load.title, name.word());
                match contender.measure(load, phases(options), runtime) {
                    Ok(sample) => {
                        let figures = &sample.figures;
                        eprintln!(
                            "{:.0}/s, p99 {:.3} ms, {:.1} us, {} errors",
                            figures.per_second,
                            figures.p99_ms,
                            sample.cpu_us(),
                            figures.errors
                        );
                        run.results.add(name, *at, sample);
                        true
                    }
                    Err(error) => {
                        eprintln!("{error}");
                        run.broken.push((name, error.to_string()));
                        false
                    }
                }
            });
        }
        // Nobody always follows the same neighbour's load.
        contenders.reverse();
        if round % 2 == 0 && !contenders.is_empty() {
            contenders.rotate_left(1);
        }
    }
    run.disk = with_disk.then(|| Disk::of(disk));
}

fn note_large(contender: &Contender, run: &mut Run) {
    for content in [Content::Binary, Content::Json] {
        let mib = contender.large_mib(content);
        run.large.extend(mib.map(|mib| (contender.name, content, mib)));
    }
}

/// Notes it once, however often it was wanted.
fn absent(run: &mut Run, name: Name, error: &Error) {
    if !run.absent.iter().any(|(absent, _)| *absent == name) {
        run.absent.push((name, error.to_string()));
    }
}

fn wanted(options: &Streams, name: Name) -> bool {
    options.only.is_empty() || options.only.contains(&name)
}
