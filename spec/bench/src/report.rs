//! The run in words and tables.

use std::process::Command;

use crate::bars::{Bar, bars};
use crate::cells::CELLS;
use crate::compare::Run;
use crate::contenders::Name;
use crate::options::Compare;
use crate::results::{Spread, Summary};
use crate::table::{Column, Style, Table};

/// Above this, the contenders did not have the machine to themselves.
const FOREIGN_CORES_MAX: f64 = 0.1;

/// Everything that the run prints on stdout.
pub fn report(run: &Run, options: &Compare) -> String {
    let style = if options.markdown { Style::Markdown } else { Style::Plain };
    let mut parts = vec![head(run, options)];
    parts.extend((0..CELLS.len()).map(|cell| cell_table(run, cell).render(style)));
    if !run.absent.is_empty() {
        let lines = run.absent.iter().map(|(name, why)| format!("{}: absent: {why}\n", name.word()));
        parts.push(section("Absent", style) + &lines.collect::<String>());
    }
    parts.push(bars_table(&bars(&run.results, run.startup.as_ref())).render(style));
    let errors = errors(run);
    if !errors.is_empty() {
        let lines = errors.iter().map(|line| format!("!!! {line}\n"));
        parts.push(section("!!! ERRORS !!!", style) + &lines.collect::<String>());
    }
    parts.join("\n")
}

/// Everything that makes the run a failure, one sentence each; empty when all went well.
pub fn errors(run: &Run) -> Vec<String> {
    let ours_absent = run.absent.iter().filter(|(name, _)| name.is_ours());
    let mut errors: Vec<String> = ours_absent.map(|(name, why)| format!("{} is absent: {why}", name.word())).collect();
    errors.extend(run.broken.iter().map(|(name, why)| format!("{} broke during the run: {why}", name.word())));
    for name in Name::ALL {
        for (at, cell) in CELLS.iter().enumerate() {
            let Some(summary) = run.results.summary(name, at).filter(|summary| summary.errors > 0) else { continue };
            let first = summary.first_error.as_deref().unwrap_or("unknown");
            errors.push(format!(
                "{}, {}: {} failed calls, the first: {first}",
                name.word(),
                cell.title,
                summary.errors
            ));
        }
    }
    errors.extend(run.startup.iter().flat_map(|startup| startup.bad_ends.iter().cloned()));
    errors
}

fn head(run: &Run, options: &Compare) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut lines = vec![format!(
        "{cores} cores, loopback; {} rounds over all contenders, {} s per cell after {} s of warm-up; medians.",
        options.rounds(),
        options.measured().as_secs_f64(),
        options.warm_up().as_secs_f64(),
    )];
    lines.push(format!(
        "CPU is per answered request, user + system; its total leaves out the load generator ({} thread).",
        options.load_threads,
    ));
    if let Some(foreign) = run.results.foreign_cores() {
        let verdict = if foreign.median > FOREIGN_CORES_MAX { "TOO BUSY for figures to be trusted" } else { "quiet" };
        lines.push(format!(
            "The machine was {verdict}: what was not under measurement kept {:.2} cores busy ({:.2} to {:.2}).",
            foreign.median, foreign.low, foreign.high,
        ));
    }
    lines.push("Moleculer makes its load in the calling node, so its total holds both.".to_owned());
    let versions = [
        options.exorelay.as_ref().and_then(|path| version(Command::new(path).arg("--version"))),
        options.envoy.as_ref().and_then(|path| version(Command::new(path).arg("--version"))).map(|version| {
            format!("{version}; concurrency left at its default of one worker per core ({cores}), no access log")
        }),
        options.nats_server.as_ref().and_then(|path| version(Command::new(path).arg("--version"))),
        options.moleculer.as_ref().and_then(|modules| {
            let command =
                "console.log('moleculer', require('moleculer').MOLECULER_VERSION, 'on node', process.version)";
            version(Command::new("node").env("NODE_PATH", modules).args(["-e", command]))
        }),
    ];
    lines.extend(versions.into_iter().flatten());
    lines.join("\n") + "\n"
}

fn version(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    // Envoy says `PATH  version: COMMIT/1.2.3/Clean/...`.
    let envoy = line.split_once("version: ").and_then(|(_, version)| version.split('/').nth(1));
    Some(envoy.map_or_else(|| line.to_owned(), |version| format!("envoy {version}")))
}

fn section(title: &str, style: Style) -> String {
    match style {
        Style::Plain => format!("{title}\n"),
        Style::Markdown => format!("### {title}\n\n"),
    }
}

fn cell_table(run: &Run, cell: usize) -> Table {
    let columns = [
        Column::Text("contender"),
        Column::Number("req/s"),
        Column::Number("p50 ms"),
        Column::Number("p99 ms"),
        Column::Number("errors"),
        Column::Number("CPU us"),
        Column::Text("CPU us of each process"),
        Column::Text("RSS MiB of each process"),
    ];
    let mut table = Table::new(CELLS[cell].title, &columns);
    for name in Name::ALL {
        if let Some(summary) = run.results.summary(name, cell) {
            table.row(cell_row(name, &summary));
        }
        if run.absent.iter().any(|(absent, _)| *absent == name) {
            table.row(vec![name.title().to_owned(), "absent".to_owned()]);
        }
    }
    table
}

fn cell_row(name: Name, summary: &Summary) -> Vec<String> {
    let each = |value: fn(&(&'static str, f64, f64)) -> f64| {
        let parts = summary.spent.iter().map(|process| format!("{} {:.1}", process.0, value(process)));
        parts.collect::<Vec<_>>().join(", ")
    };
    vec![
        name.title().to_owned(),
        thousands(summary.per_second.median),
        format!("{:.3}", summary.p50_ms),
        format!("{:.3}", summary.p99_ms),
        if summary.errors == 0 { "0".to_owned() } else { format!("!!! {} !!!", summary.errors) },
        format!("{:.1}", summary.cpu_us()),
        each(|process| process.1),
        each(|process| process.2),
    ]
}

fn bars_table(bars: &[Bar]) -> Table {
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
                bar.what.to_owned(),
                "-".to_owned(),
                bar.unit.to_owned(),
                bar.limit.text(),
                "not measured".to_owned(),
            ]);
            continue;
        };
        let number = |value: f64| format!("{value:.*}", bar.decimals);
        let verdict = if bar.limit.holds(median) { "pass" } else { "MISS" };
        table.row(vec![
            bar.what.to_owned(),
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
fn thousands(value: f64) -> String {
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
