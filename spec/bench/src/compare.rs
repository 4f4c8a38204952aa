//! The run: every contender is started once, then all take turns, cell by cell and round by round.

use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::cells::CELLS;
use crate::contenders::{Contender, Name};
use crate::error::Error;
use crate::load::Phases;
use crate::options::Compare;
use crate::processes::Processes;
use crate::report;
use crate::results::Results;
use crate::startup::{self, Startup};

const INTERRUPTED: i32 = 130;

/// Results of a run.
#[derive(Default)]
pub struct Run {
    /// The samples.
    pub results: Results<Name>,
    /// The sidecar's figures without load; `None` when it was not asked for or is absent.
    pub startup: Option<Startup>,
    /// Contenders that could not be started, and why.
    pub absent: Vec<(Name, String)>,
    /// Contenders that could not be measured to the end, and why.
    pub broken: Vec<(Name, String)>,
}

/// Measures, prints the report on stdout and progress on stderr. Returns whether there were no errors at all.
/// Every process it started is gone when it returns, and also after SIGINT, SIGTERM or SIGHUP.
pub fn compare(options: &Compare) -> Result<bool, Error> {
    let processes = Processes::new()?;
    end_all_on_signal(processes.clone())?;
    let runtime = crate::runtime(options.load_threads as usize)?;
    let mut run = Run::default();
    if wanted(options, Name::Exorelay) {
        eprintln!("ten starts of the sidecar");
        match startup::measure(&options.programs, &processes, &runtime) {
            Ok(startup) => run.startup = Some(startup),
            // The contender itself will be reported as absent.
            Err(Error::Absent(_)) => {}
            Err(error) => run.broken.push((Name::Exorelay, format!("ten starts: {error}"))),
        }
    }
    let mut contenders = Vec::new();
    for name in Name::ALL.into_iter().filter(|name| wanted(options, *name)) {
        eprintln!("starting {}", name.word());
        match Contender::start(name, &options.programs, &processes, &runtime) {
            Ok(contender) => contenders.push(contender),
            Err(error) => run.absent.push((name, error.to_string())),
        }
    }
    rounds(options, &mut contenders, &runtime, &mut run);
    processes.end_all();
    print!("{}", report::report(&run, options));
    Ok(report::errors(&run).is_empty())
}

fn rounds(options: &Compare, contenders: &mut Vec<Contender>, runtime: &Runtime, run: &mut Run) {
    let phases = Phases { warm_up: options.extent.warm_up(), measured: options.extent.measured() };
    for round in 1..=options.extent.rounds() {
        for (at, cell) in CELLS.iter().enumerate() {
            contenders.retain_mut(|contender| {
                let name = contender.name;
                eprint!("round {round}: {}: {}: ", cell.title, name.word());
                match contender.measure(cell, phases, runtime) {
                    Ok(sample) => {
                        let figures = &sample.figures;
                        eprintln!(
                            "{:.0}/s, p99 {:.3} ms, {} errors",
                            figures.per_second, figures.p99_ms, figures.errors
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

fn wanted(options: &Compare, name: Name) -> bool {
    options.only.is_empty() || options.only.contains(&name)
}

/// Ends every process, and this one, after SIGINT, SIGTERM or SIGHUP.
pub fn end_all_on_signal(processes: Processes) -> Result<(), Error> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    // Entered here, so that a signal that cannot be watched fails the run before anything is started.
    let (mut interrupt, mut terminate, mut hang_up) = runtime.block_on(async {
        Ok::<_, Error>((
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ))
    })?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
        });
        eprintln!("stopped; ending every process");
        processes.end_all_and_exit(INTERRUPTED)
    })?;
    Ok(())
}
