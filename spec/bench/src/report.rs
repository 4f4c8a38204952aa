//! The run in words and tables.

use std::path::Path;
use std::process::Command;

use crate::bars::{Bar, bars};
use crate::cells::{CELLS, Cell};
use crate::compare::Run;
use crate::contenders::Name;
use crate::options::Compare;
use crate::results::{Spread, Summary};
use crate::table::{Column, Style, Table};

/// Above this, the contenders did not have the machine to themselves.
const FOREIGN_CORES_MAX: f64 = 0.1;

/// Returns everything that the run prints on stdout.
pub fn report(run: &Run, options: &Compare) -> String {
    let style = options.extent.style();
    let mut parts = vec![head(run, options)];
    for (at, cell) in CELLS.iter().enumerate() {
        let rows =
            Name::ALL.into_iter().filter_map(|name| match run.absent.iter().any(|(absent, _)| *absent == name) {
                true => Some((name.title(), None)),
                false => run.results.summary(name, at).map(|summary| (name.title(), Some(summary))),
            });
        parts.push(cell_table(cell, rows).render(style));
    }
    parts.extend(absences(run.absent.iter().map(|(name, why)| (name.word(), why)), style));
    parts.push(bars_table(&bars(&run.results, run.startup.as_ref())).render(style));
    parts.extend(shouted(&errors(run), style));
    parts.join("\n")
}

/// Returns everything that makes the run a failure, one sentence each; empty on success.
pub fn errors(run: &Run) -> Vec<String> {
    let ours_absent = run.absent.iter().filter(|(name, _)| name.is_ours());
    let mut errors: Vec<String> = ours_absent.map(|(name, why)| format!("{} is absent: {why}", name.word())).collect();
    errors.extend(run.broken.iter().map(|(name, why)| format!("{} broke during the run: {why}", name.word())));
    for name in Name::ALL {
        for (at, cell) in CELLS.iter().enumerate() {
            errors.extend(failed_calls(name.word(), cell.title, run.results.summary(name, at)));
        }
    }
    errors.extend(run.startup.iter().flat_map(|startup| startup.bad_ends.iter().cloned()));
    errors
}

/// The sentence about the failed calls of a cell, if there were any.
pub fn failed_calls(word: &str, title: &str, summary: Option<Summary>) -> Option<String> {
    let summary = summary.filter(|summary| summary.errors > 0)?;
    let first = summary.first_error.as_deref().unwrap_or("unknown");
    Some(format!("{word}, {title}: {} failed calls, the first: {first}", summary.errors))
}

fn head(run: &Run, options: &Compare) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let extent = &options.extent;
    let mut lines = vec![format!(
        "{cores} cores, loopback; {} rounds over all contenders, {} s per cell after {} s of warm-up; medians.",
        extent.rounds(),
        extent.measured().as_secs_f64(),
        extent.warm_up().as_secs_f64(),
    )];
    lines.push(format!(
        "CPU is per answered request, user + system; its total leaves out the load generator ({} thread).",
        options.load_threads,
    ));
    lines.extend(run.results.foreign_cores().map(busy));
    lines.push("Moleculer makes its load in the calling node, so its total holds both.".to_owned());
    let programs = &options.programs;
    let versions = [
        programs.exorelay.as_ref().and_then(|path| version(path, "--version")),
        programs.envoy.as_ref().and_then(|path| version(path, "--version")).map(|version| {
            format!("{version}; concurrency left at its default of one worker per core ({cores}), no access log")
        }),
        programs.nats_server.as_ref().and_then(|path| version(path, "--version")),
        programs.moleculer.as_ref().and_then(|modules| {
            let command =
                "console.log('moleculer', require('moleculer').MOLECULER_VERSION, 'on node', process.version)";
            first_line(Command::new("node").env("NODE_PATH", modules).args(["-e", command]))
        }),
    ];
    lines.extend(versions.into_iter().flatten());
    lines.join("\n") + "\n"
}

/// Returns the version that a program prints for `flag`; `None` if it prints nothing.
pub fn version(path: &Path, flag: &str) -> Option<String> {
    let line = first_line(Command::new(path).arg(flag))?;
    // Envoy says `PATH  version: COMMIT/1.2.3/Clean/...`.
    let envoy = line.split_once("version: ").and_then(|(_, version)| version.split('/').nth(1));
    Some(envoy.map(|version| format!("envoy {version}")).unwrap_or(line))
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

/// Returns the sentence about other load on the machine.
pub fn busy(foreign: Spread) -> String {
    let verdict = if foreign.median > FOREIGN_CORES_MAX { "TOO BUSY for figures to be trusted" } else { "quiet" };
    format!(
        "The machine was {verdict}: other processes kept {:.2} cores busy ({:.2} to {:.2}).",
        foreign.median, foreign.low, foreign.high,
    )
}

/// The contenders that are not there, by their words, and why; `None` when there are none.
pub fn absences<'a>(absent: impl Iterator<Item = (&'a str, &'a String)>, style: Style) -> Option<String> {
    let lines: String = absent.map(|(word, why)| format!("{word}: absent: {why}\n")).collect();
    (!lines.is_empty()).then(|| section("Absent", style) + &lines)
}

/// The errors of the run; `None` when there are none.
pub fn shouted(errors: &[String], style: Style) -> Option<String> {
    let lines: String = errors.iter().map(|line| format!("!!! {line}\n")).collect();
    (!errors.is_empty()).then(|| section("!!! ERRORS !!!", style) + &lines)
}

fn section(title: &str, style: Style) -> String {
    match style {
        Style::Plain => format!("{title}\n"),
        Style::Markdown => format!("### {title}\n\n"),
    }
}

/// One row for each title; an absent contender has no figures.
pub fn cell_table<'a>(cell: &Cell, rows: impl Iterator<Item = (&'a str, Option<Summary>)>) -> Table {
    let columns = [
        Column::Text("contender"),
        Column::Number("per s"),
        Column::Number("p50 ms"),
        Column::Number("p99 ms"),
        Column::Number("errors"),
        Column::Number("CPU us"),
        Column::Text("CPU us of each process"),
        Column::Text("RSS MiB of each process"),
    ];
    let mut table = Table::new(cell.title, &columns);
    for (title, summary) in rows {
        match summary {
            Some(summary) => table.row(cell_row(title, &summary)),
            None => table.row(vec![title.to_owned(), "absent".to_owned()]),
        }
    }
    table
}

fn cell_row(title: &str, summary: &Summary) -> Vec<String> {
    let each = |value: fn(&(&'static str, f64, f64)) -> f64| {
        let parts = summary.spent.iter().map(|process| format!("{} {:.1}", process.0, value(process)));
        parts.collect::<Vec<_>>().join(", ")
    };
    vec![
        title.to_owned(),
        thousands(summary.per_second.median),
        format!("{:.3}", summary.p50_ms),
        format!("{:.3}", summary.p99_ms),
        if summary.errors == 0 { "0".to_owned() } else { format!("!!! {} !!!", summary.errors) },
        format!("{:.1}", summary.cpu_us()),
        each(|process| process.1),
        each(|process| process.2),
    ]
}

/// One row for each bar.
pub fn bars_table(bars: &[Bar]) -> Table {
    let columns = [
        Column::Text("what"),
        Column::Number("value"),
        Column::Text("unit"),
        Column::Text("bar"),
        Column::Text("verdict"),
        Column::Text("range"),
    ];
    let mut table = Table::new("Ratios and bars (median of the rounds' own ratios and differences)", &columns);
    for bar in bars {
        let Some(Spread { median, low, high }) = bar.value else {
            table.row(vec![
                bar.what.clone().into_owned(),
                "-".to_owned(),
                bar.unit.to_owned(),
                bar.limit.text(),
                "not measured".to_owned(),
            ]);
            continue;
        };
        let number = |value: f64| format!("{value:.*}", bar.decimals);
        let verdict = bar.limit.holds(median).map_or("", |holds| if holds { "pass" } else { "MISS" });
        table.row(vec![
            bar.what.clone().into_owned(),
            number(median),
            bar.unit.to_owned(),
            bar.limit.text(),
            verdict.to_owned(),
            format!("{} to {}", number(low), number(high)),
        ]);
    }
    table
}

/// `12,345`.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!(thousands(7.0), "7");
        assert_eq!(thousands(999.6), "1,000");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }
}
