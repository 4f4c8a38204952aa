//! Results of one cell of one contender in one round.

use crate::error::Error;
use crate::load::{Figures, Measured};
use crate::usage::{self, Reading};

/// The role under which the load generator's own figures appear.
pub const LOAD: &str = "load";

/// One cell of one contender in one round.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Outcome of the calls.
    pub figures: Figures,
    /// CPU and memory of every process.
    pub spent: Vec<Spent>,
    /// Cores that everything else on the machine kept busy meanwhile.
    pub foreign_cores: f64,
}

/// CPU and memory that one process used for a cell.
#[derive(Clone, Debug)]
pub struct Spent {
    /// [`LOAD`] or the process's role.
    pub role: &'static str,
    /// CPU time per answered call, in microseconds.
    pub cpu_us: f64,
    /// Resident memory right after the cell, in MiB.
    pub resident_mib: f64,
}

impl Sample {
    /// The figures of a cell, and what each of `processes`, a role and a process id, spent on it. The readings are of
    /// these processes, in this order.
    pub fn of(measured: Measured<Reading>, processes: &[(&'static str, u32)]) -> Result<Self, Error> {
        let Measured { figures, before, after } = measured;
        let cpu_seconds = before.cpu_seconds.iter().zip(&after.cpu_seconds);
        let spent = processes.iter().zip(cpu_seconds).map(|((role, pid), (before, after))| {
            let cpu_us = (after - before) * 1e6 / figures.requests.max(1) as f64;
            Ok(Spent { role, cpu_us, resident_mib: usage::resident_mib(*pid)? })
        });
        let spent = spent.collect::<Result<_, Error>>()?;
        Ok(Self { spent, foreign_cores: after.foreign_cores_since(&before), figures })
    }

    /// CPU time per call of everything but the load generator, in microseconds.
    pub fn cpu_us(&self) -> f64 {
        self.spent.iter().filter(|spent| spent.role != LOAD).map(|spent| spent.cpu_us).sum()
    }
}
