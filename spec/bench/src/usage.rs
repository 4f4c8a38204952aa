//! CPU time and memory of a process, as the kernel counts them. proc(5).

use std::fs;
use std::io;
use std::time::Instant;

use crate::error::Error;

/// CPU time that process `pid` has used in user and system mode since it started, in seconds.
/// The kernel's resolution is one clock tick, most often 10 ms.
fn cpu_seconds(pid: u32) -> Result<f64, Error> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|source| Error::Usage { pid, source })?;
    let ticks = cpu_ticks(&stat).ok_or_else(|| unreadable(pid))?;
    Ok(seconds(ticks))
}

/// Memory of process `pid` that is resident now, in MiB.
pub fn resident_mib(pid: u32) -> Result<f64, Error> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|source| Error::Usage { pid, source })?;
    Ok(resident_kib(&status).ok_or_else(|| unreadable(pid))? as f64 / 1024.0)
}

/// CPU time spent until a moment.
#[derive(Clone, Debug)]
pub struct Reading {
    at: Instant,
    /// Of each process asked about, in seconds.
    pub cpu_seconds: Vec<f64>,
    machine_seconds: f64,
}

impl Reading {
    /// Reads the CPU time of `pids` and of the whole machine.
    pub fn now(pids: impl IntoIterator<Item = u32>) -> Result<Self, Error> {
        let cpu_seconds = pids.into_iter().map(cpu_seconds).collect::<Result<_, _>>()?;
        let stat = fs::read_to_string("/proc/stat")?;
        let ticks = machine_ticks(&stat).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Self { at: Instant::now(), cpu_seconds, machine_seconds: seconds(ticks) })
    }

    /// Cores that everything but the given processes has kept busy since `earlier`. What a hypervisor took
    /// away counts too.
    pub fn foreign_cores_since(&self, earlier: &Self) -> f64 {
        let own: f64 = self.cpu_seconds.iter().zip(&earlier.cpu_seconds).map(|(after, before)| after - before).sum();
        let foreign = self.machine_seconds - earlier.machine_seconds - own;
        (foreign / self.at.duration_since(earlier.at).as_secs_f64()).max(0.0)
    }
}

/// Busy time of all cores: all but `idle` and `iowait`, fields 4 and 5. Guests' time is in the first two already.
fn machine_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Option<Vec<u64>> = line.split_ascii_whitespace().take(8).map(|field| field.parse().ok()).collect();
    let fields = fields.filter(|fields| fields.len() == 8)?;
    Some(fields.iter().sum::<u64>() - fields[3] - fields[4])
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// `utime` + `stime`: fields 14 and 15. The second field, a name in parentheses, may itself hold spaces.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn resident_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn unreadable(pid: u32) -> Error {
    Error::Usage { pid, source: io::Error::from(io::ErrorKind::InvalidData) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_spaces_and_parentheses() {
        let stat = "7 (tokio (rt) 1) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0 20 0 9 0 100 1 2";
        assert_eq!(cpu_ticks(stat), Some(42));
    }

    #[test]
    fn the_machine_is_busy_but_for_idle_and_waiting() {
        assert_eq!(machine_ticks("cpu  1 2 3 1000 500 4 5 6 7 8\ncpu0 1 2\n"), Some(21));
        assert_eq!(machine_ticks("intr 1\n"), None);
    }

    #[test]
    fn resident_memory_is_read_in_kib() {
        assert_eq!(resident_kib("Name:\tx\nVmRSS:\t   2048 kB\n"), Some(2048));
        assert_eq!(resident_kib("Name:\tzombie\n"), None);
    }
}
