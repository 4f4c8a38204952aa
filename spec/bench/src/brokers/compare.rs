//! The run: every contender is started once, then all take turns, cell by cell and round by round.

use super::contender::{CELLS, Contender, Name};
use super::memory::{self, Memory};
use super::{Bus, report};
use crate::compare::end_all_on_signal;
use crate::error::Error;
use crate::load::Phases;
use crate::options::Brokers;
use crate::processes::Processes;
use crate::results::Results;

/// Results of a run.
#[derive(Default)]
pub struct Run {
    /// The samples.
    pub results: Results<Name>,
    /// Memory of idle connections, for each broker that was asked for and did not break.
    pub memory: Vec<Memory>,
    /// Contenders that could not be started, and why.
    pub absent: Vec<(Name, String)>,
    /// Contenders that could not be measured to the end, and why.
    pub broken: Vec<(Name, String)>,
}

/// Measures, prints the report on stdout and progress on stderr. Returns whether there were no errors at all.
/// Every process it started is gone when it returns, and also after SIGINT, SIGTERM or SIGHUP.
pub fn compare(options: &Brokers) -> Result<bool, Error> {
    let processes = Processes::new()?;
    end_all_on_signal(processes.clone())?;
    let mut run = Run::default();
    idle_connections(options, &processes, &mut run);
    let mut contenders = Vec::new();
    for name in Name::ALL.into_iter().filter(|name| wanted(options, *name)) {
        eprintln!("starting {}", name.word());
        match Contender::start(name, options, &processes) {
            Ok(contender) => contenders.push(contender),
            Err(error) => run.absent.push((name, error.to_string())),
        }
    }
    rounds(options, &mut contenders, &mut run);
    processes.end_all();
    print!("{}", report::report(&run, options));
    Ok(report::errors(&run).is_empty())
}

/// Before everything else is started: the other brokers' clients would send pings meanwhile.
fn idle_connections(options: &Brokers, processes: &Processes, run: &mut Run) {
    for (bus, name) in [(Bus::Websocket, Name::WebSocket), (Bus::Nats, Name::Nats)] {
        if options.idle == 0 || !wanted(options, name) {
            continue;
        }
        eprintln!("{} idle connections: {}", options.idle, name.word());
        match memory::measure(bus, options, processes) {
            Ok(memory) => run.memory.push(memory),
            // The contender itself will be reported as absent.
            Err(Error::Absent(_)) => {}
            Err(error) => run.broken.push((name, format!("{} idle connections: {error}", options.idle))),
        }
    }
}

fn rounds(options: &Brokers, contenders: &mut Vec<Contender>, run: &mut Run) {
    let phases = Phases { warm_up: options.extent.warm_up(), measured: options.extent.measured() };
    for round in 1..=options.extent.rounds() {
        for (at, cell) in CELLS.iter().enumerate() {
            contenders.retain_mut(|contender| {
                let name = contender.name;
                if !name.takes(at) {
                    return true;
                }
                eprint!("round {round}: {}: {}: ", cell.title, name.word());
                match contender.measure(cell, phases) {
                    Ok(sample) => {
                        let figures = &sample.figures;
                        eprintln!(
                            "{:.0}/s, p99 {:.3} ms, {:.1} us, {} errors, {:.2} cores elsewhere",
                            figures.per_second,
                            figures.p99_ms,
                            sample.cpu_us(),
                            figures.errors,
                            sample.foreign_cores,
                        );
                        run.results.add(name, at, sample);
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
        if !contenders.is_empty() {
            contenders.rotate_left(1);
        }
    }
}

fn wanted(options: &Brokers, name: Name) -> bool {
    options.only.is_empty() || options.only.contains(&name)
}
