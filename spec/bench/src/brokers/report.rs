//! The run in words and tables.

use super::Bus;
use super::bars::bars;
use super::compare::Run;
use super::contender::{CELLS, Name};
use super::fan::RECEIVERS;
use super::memory::Memory;
use crate::options::Brokers;
use crate::report::{absences, bars_table, busy, cell_table, failed_calls, shouted, version};
use crate::results::Spread;
use crate::table::{Column, Table};

/// Everything that the run prints on stdout.
pub fn report(run: &Run, options: &Brokers) -> String {
    let style = options.extent.style();
    let mut parts = vec![head(run, options)];
    for (at, cell) in CELLS.iter().enumerate() {
        let names = Name::ALL.into_iter().filter(|name| name.takes(at));
        let rows = names.filter_map(|name| match run.absent.iter().any(|(absent, _)| *absent == name) {
            true => Some((name.title(), None)),
            false => run.results.summary(name, at).map(|summary| (name.title(), Some(summary))),
        });
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            parts.push(cell_table(cell, rows.into_iter()).render(style));
        }
    }
    if !run.memory.is_empty() {
        parts.push(memory_table(&run.memory, options).render(style));
    }
    parts.extend(absences(run.absent.iter().map(|(name, why)| (name.word(), why)), style));
    parts.push(bars_table(&bars(run)).render(style));
    parts.extend(shouted(&errors(run), style));
    parts.join("\n")
}

/// Everything that makes the run a failure, one sentence each; empty when all went well.
pub fn errors(run: &Run) -> Vec<String> {
    let ours_absent = run.absent.iter().filter(|(name, _)| name.is_ours());
    let mut errors: Vec<String> = ours_absent.map(|(name, why)| format!("{} is absent: {why}", name.word())).collect();
    errors.extend(run.broken.iter().map(|(name, why)| format!("{} broke during the run: {why}", name.word())));
    for name in Name::ALL {
        for (at, cell) in CELLS.iter().enumerate() {
            errors.extend(failed_calls(name.word(), cell.title, run.results.summary(name, at)));
        }
    }
    errors
}

fn head(run: &Run, options: &Brokers) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let extent = &options.extent;
    let mut lines = vec![format!(
        "{cores} cores, loopback; {} rounds over all contenders, {} s per cell after {} s of warm-up; medians.",
        extent.rounds(),
        extent.measured().as_secs_f64(),
        extent.warm_up().as_secs_f64(),
    )];
    lines.push(format!(
        "CPU is of all processes per round trip, or per delivery to one of {RECEIVERS} roles, user + system; \
         requester and responder have {} thread each.",
        options.load_threads,
    ));
    lines.extend(run.results.foreign_cores().map(busy));
    let versions = [(&options.programs.exorelay, "--version"), (&options.programs.nats_server, "--version")];
    lines.extend(versions.into_iter().filter_map(|(path, flag)| version(path.as_ref()?, flag)));
    lines.join("\n") + "\n"
}

fn memory_table(memory: &[Memory], options: &Brokers) -> Table {
    let columns = [
        Column::Text("broker"),
        Column::Number("alone MiB"),
        Column::Number("with them MiB"),
        Column::Number("KiB each"),
        Column::Number("CPU %"),
    ];
    let mut table = Table::new(format!("{} idle connections", options.idle), &columns);
    for Memory { bus, alone_mib, full_mib, each_kib, busy_percent } in memory {
        let number = |value: &Spread| format!("{:.1}", value.median);
        let row = [alone_mib, full_mib, each_kib, busy_percent].map(number);
        let title = if *bus == Bus::Nats { "NATS, subscribed" } else { "ExoCom, registered over WebSocket" };
        table.row([title.to_owned()].into_iter().chain(row).collect());
    }
    table
}
