//! CPU time and memory of a process, as the kernel counts them. proc(5).

use std::fs;
use std::io;

use crate::error::Error;

/// CPU time that process `pid` has used in user and system mode since it started, in seconds.
/// The kernel's resolution is one clock tick, most often 10 ms.
pub fn cpu_seconds(pid: u32) -> Result<f64, Error> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|source| Error::Usage { pid, source })?;
    let ticks = cpu_ticks(&stat).ok_or_else(|| unreadable(pid))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Memory of process `pid` that is resident now, in MiB.
pub fn resident_mib(pid: u32) -> Result<f64, Error> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|source| Error::Usage { pid, source })?;
    Ok(resident_kib(&status).ok_or_else(|| unreadable(pid))? as f64 / 1024.0)
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
    fn resident_memory_is_read_in_kib() {
        assert_eq!(resident_kib("Name:\tx\nVmRSS:\t   2048 kB\n"), Some(2048));
        assert_eq!(resident_kib("Name:\tzombie\n"), None);
    }
}
