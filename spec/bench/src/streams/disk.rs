//! Speed of the disk alone: small writes to one file, each followed by fdatasync.

use std::process::Command;
use std::time::Duration;

use crate::error::Error;
use crate::options::Streams;
use crate::processes::Processes;
use crate::results::{Spread, spread};

const REPORT_WAIT: Duration = Duration::from_secs(30);
/// Field of fio's terse report, version 3.
const WRITES_A_SECOND: usize = 48;

/// Of the rounds together.
pub struct Disk {
    /// Writes a second; `None` when fio is absent or failed, and why is below.
    pub per_second: Option<Spread>,
    /// Reason for missing figures.
    pub why: Option<String>,
}

impl Disk {
    /// The figures of the rounds.
    pub fn of(rounds: Vec<Result<f64, Error>>) -> Self {
        let why = rounds.iter().find_map(|round| Some(round.as_ref().err()?.to_string()));
        Self { per_second: spread(rounds.into_iter().filter_map(Result::ok)), why }
    }
}

/// Writes of 4 KiB a second, one after the other, each synced.
pub fn measure(options: &Streams, processes: &Processes) -> Result<f64, Error> {
    let fio = options.programs.path(&options.programs.fio, "fio")?;
    let seconds = if options.extent.quick { "1" } else { "2" };
    let mut command = Command::new(fio);
    command
        .args(["--name=sync", "--rw=write", "--bs=4k", "--size=64m", "--fdatasync=1", "--time_based"])
        .args(["--output-format=terse", "--runtime", seconds, "--directory"])
        .arg(processes.scratch());
    let mut fio = processes.start("fio", &mut command)?;
    let report = fio.line(REPORT_WAIT);
    processes.stop(&fio);
    let report = report?;
    let rate = report.split(';').nth(WRITES_A_SECOND).and_then(|field| field.parse().ok());
    rate.ok_or_else(|| Error::Prepare { what: "fio".to_owned(), why: format!("its report is {report:?}") })
}
