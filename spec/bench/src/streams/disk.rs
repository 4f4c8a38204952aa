//! What the disk does by itself: small writes to one file, each followed by fdatasync.

use std::process::Command;

use serde_json::Value;

use crate::error::Error;
use crate::options::Streams;
use crate::processes::Processes;
use crate::results::{Spread, spread};

/// Of the rounds together.
pub struct Disk {
    /// Writes a second; `None` when fio is absent or failed, and why is below.
    pub per_second: Option<Spread>,
    /// Why there are no figures.
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
    let failed = |why: String| Error::Prepare { what: "fio".to_owned(), why };
    let output = Command::new(fio)
        .args(["--name=sync", "--rw=write", "--bs=4k", "--size=64m", "--fdatasync=1", "--time_based"])
        .args(["--output-format=json", "--runtime", seconds, "--directory"])
        .arg(processes.scratch())
        .output()?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let report: Value = serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
    let rate = report.pointer("/jobs/0/write/iops").and_then(Value::as_f64);
    rate.ok_or_else(|| failed("its report has no rate".to_owned()))
}
