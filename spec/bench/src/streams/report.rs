//! The run in words and tables.

use super::bars::bars;
use super::compare::{Run, phases};
use super::contender::{Keeps, Name};
use super::follow::TIMES_MEASURED;
use super::loads::{Content, Family, Load};
use super::memory::SUBSCRIBERS;
use crate::options::Streams;
use crate::report::{absences, bars_table, failed_calls, shouted, thousands, version};
use crate::results::{Spread, Summary};
use crate::table::{Column, Table};

/// Columns for loads of one family.
struct Shape {
    family: Family,
    heading: &'static str,
    /// Cell under the contender's name.
    rate: fn(&Summary) -> String,
}

const SHAPES: [Shape; 5] = [
    Shape { family: Family::Append, heading: "Appends a second", rate },
    Shape { family: Family::Create, heading: "New streams a second", rate },
    Shape { family: Family::Read, heading: "Small reads a second", rate },
    Shape { family: Family::CatchUp, heading: "Large reads, MiB a second", rate },
    Shape { family: Family::Follow, heading: "Events, p50 in ms", rate: |summary| format!("{:.3}", summary.p50_ms) },
];

/// Everything that the run prints on stdout.
pub fn report(run: &Run, loads: &[Load], options: &Streams) -> String {
    let style = options.extent.style();
    let mut parts = vec![head(run, options)];
    for shape in &SHAPES {
        for keeps in [Keeps::Disk, Keeps::Memory] {
            parts.extend(loads_table(run, loads, shape, keeps).map(|table| table.render(style)));
        }
    }
    if !run.memory.is_empty() {
        parts.push(memory_table(run).render(style));
    }
    if !run.opening.is_empty() {
        parts.push(opening_table(run).render(style));
    }
    parts.extend(absences(run.absent.iter().map(|(name, why)| (name.word(), why)), style));
    parts.push(bars_table(&bars(run, loads)).render(style));
    parts.extend(shouted(&errors(run, loads), style));
    parts.join("\n")
}

/// Everything that makes the run a failure, one sentence each; empty when all went well.
pub fn errors(run: &Run, loads: &[Load]) -> Vec<String> {
    let ours_absent = run.absent.iter().filter(|(name, _)| name.is_ours());
    let mut errors: Vec<String> = ours_absent.map(|(name, why)| format!("{} is absent: {why}", name.word())).collect();
    errors.extend(run.broken.iter().map(|(name, why)| format!("{} broke during the run: {why}", name.word())));
    for name in Name::ALL {
        for (at, load) in loads.iter().enumerate() {
            errors.extend(failed_calls(name.word(), &load.title, run.results.summary(name, at)));
        }
    }
    errors
}

fn head(run: &Run, options: &Streams) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let phases = phases(options);
    let mut lines = vec![format!(
        "{cores} cores, loopback; {} rounds over all contenders, {} s per load, {TIMES_MEASURED} times that for events, after {} s \
         of warm-up; medians.",
        options.extent.rounds(),
        phases.measured.as_secs_f64(),
        phases.warm_up.as_secs_f64(),
    )];
    lines.push("CPU is of the server, per answered request or delivered event, user + system.".to_owned());
    lines.extend(run.results.foreign_cores().map(beside));
    if let Some(disk) = &run.disk {
        lines.push(match (&disk.per_second, &disk.why) {
            (Some(rate), _) => format!(
                "The disk alone: {} writes of 4 KiB a second, each followed by fdatasync (fio; {} to {}).",
                thousands(rate.median),
                thousands(rate.low),
                thousands(rate.high),
            ),
            (None, why) => format!("The disk alone: not measured: {}", why.as_deref().unwrap_or("no round was run")),
        });
    }
    let whole = run.large.iter().map(|(.., mib)| *mib).fold(0.0, f64::max);
    let smaller = run.large.iter().filter(|(.., mib)| *mib < whole * 0.99);
    lines.extend(smaller.map(|(name, content, mib)| {
        let content = if *content == Content::Json { "JSON" } else { "binary" };
        format!(
            "{}: its large {content} stream has {mib:.1} MiB instead of {whole:.1}: that took too long.",
            name.word()
        )
    }));
    let versions = [(&options.programs.exorelay, "--version"), (&options.programs.fio, "--version")];
    lines.extend(versions.into_iter().filter_map(|(path, flag)| version(path.as_ref()?, flag)));
    lines.join("\n") + "\n"
}

/// One row for each load, three columns for each contender; `None` when nothing of it was measured.
fn loads_table(run: &Run, loads: &[Load], shape: &Shape, keeps: Keeps) -> Option<Table> {
    let rows: Vec<(usize, &Load)> =
        loads.iter().enumerate().filter(|(_, load)| load.family() == shape.family).collect();
    let measured = |name: &Name| rows.iter().any(|(at, _)| run.results.summary(*name, *at).is_some());
    let names: Vec<Name> = Name::ALL.into_iter().filter(|name| name.keeps() == keeps).filter(measured).collect();
    if names.is_empty() {
        return None;
    }
    let mut columns = vec![Column::Text("load")];
    for name in &names {
        columns.extend([Column::Number(name.word()), Column::Number("p99 ms"), Column::Number("CPU us")]);
    }
    let place = if keeps == Keeps::Disk { "on disk" } else { "in memory" };
    let mut table = Table::new(format!("{}, {place}", shape.heading), &columns);
    for (at, load) in rows {
        let mut cells = vec![load.title.clone()];
        for name in &names {
            cells.extend(match run.results.summary(*name, at) {
                Some(summary) => {
                    [(shape.rate)(&summary), format!("{:.3}", summary.p99_ms), format!("{:.1}", summary.cpu_us())]
                }
                None => ["-", "-", "-"].map(str::to_owned),
            });
        }
        table.row(cells);
    }
    Some(table)
}

/// The load generator and the servers that do not have their turn.
fn beside(foreign: Spread) -> String {
    format!(
        "Beside the server, {:.2} cores were busy ({:.2} to {:.2}), one of them with the load at the most.",
        foreign.median, foreign.low, foreign.high,
    )
}

fn rate(summary: &Summary) -> String {
    match summary.errors {
        0 => thousands(summary.per_second.median),
        errors => format!("!!! {errors} errors !!!"),
    }
}

fn memory_table(run: &Run) -> Table {
    let columns = [
        Column::Text("server"),
        Column::Number("idle MiB"),
        Column::Number("subscribed MiB"),
        Column::Number("KiB each"),
        Column::Number("filled MiB"),
        Column::Number("records"),
    ];
    let mut table = Table::new(format!("Resident memory: {SUBSCRIBERS} subscribers, and records of 100 B"), &columns);
    for memory in &run.memory {
        let (idle, subscribed) = (memory.idle_mib.median, memory.subscribers_mib.median);
        table.row(vec![
            memory.name.word().to_owned(),
            format!("{idle:.1}"),
            format!("{subscribed:.1}"),
            format!("{:.1}", (subscribed - idle) * 1024.0 / SUBSCRIBERS as f64),
            format!("{:.1}", memory.records_mib),
            thousands(memory.records as f64),
        ]);
    }
    table
}

fn opening_table(run: &Run) -> Table {
    let columns =
        [Column::Text("server"), Column::Number("streams"), Column::Number("opened ms"), Column::Number("RSS MiB")];
    let mut table = Table::new("From the start of a filled store until it serves its last stream", &columns);
    for opening in &run.opening {
        table.row(vec![
            opening.name.word().to_owned(),
            thousands(opening.streams as f64),
            thousands(opening.opened_ms),
            format!("{:.1}", opening.resident_mib),
        ]);
    }
    table
}
