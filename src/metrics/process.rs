//! Metrics of the process itself, under the names that all Prometheus clients use.

use std::env::consts::{ARCH, OS};
use std::fmt;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use rustix::time::{ClockId, clock_gettime};

/// Start time of this process. Computed once: scrapers take a change for a restart.
static START: LazyLock<SystemTime> = LazyLock::new(|| SystemTime::now() - age().unwrap_or_default());

/// Returns a registry with the metrics of this process, and its build.
pub(crate) fn process_registry() -> Registry {
    LazyLock::force(&START);
    let mut registry = Registry::default();
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("os", OS), ("arch", ARCH)];
    registry.register(
        "exorelay_build",
        "Version of this program, and the system that it is built for",
        Info::new(labels),
    );
    registry.register_collector(Box::new(Process));
    registry
}

/// The metrics of this process, read when they are asked for. What the system does not tell is left out.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "User and system CPU time spent.";
        let cpu = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
        ConstCounter::new(cpu_time().as_secs_f64()).encode(cpu)?;
        let start = START.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |key: &str| field(&status, key).map(|kib| kib * 1024.0);
        let files = rlimit::Resource::NOFILE.get().ok();
        for (name, help, value) in [
            ("process_start_time_seconds", "Start time of the process since the Unix epoch.", Some(start)),
            ("process_resident_memory_bytes", "Resident memory size.", kib("VmRSS:")),
            ("process_virtual_memory_bytes", "Virtual memory size.", kib("VmSize:")),
            ("process_threads", "Number of threads.", field(&status, "Threads:")),
            ("process_open_fds", "Number of open file descriptors.", open_files()),
            ("process_max_fds", "Maximum number of open file descriptors.", files.map(|(soft, _)| soft as f64)),
        ] {
            let Some(value) = value else { continue };
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}

/// Returns the time since the start of the process, from two times since the start of the system.
fn age() -> Option<Duration> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime_s: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Field 22, counted from behind the program's name, which may contain anything. In ticks, of which a second has 100 for
    // every program.
    let ticks: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    Duration::try_from_secs_f64(uptime_s - ticks / 100.0).ok()
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Returns the number of open files; without the one that is open to count them.
fn open_files() -> Option<f64> {
    let open = std::fs::read_dir("/proc/self/fd").ok()?.count();
    Some(open.saturating_sub(1) as f64)
}

/// Returns the number in a line of `/proc/self/status`.
fn field(status: &str, key: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::openmetrics;

    fn value(text: &str, name: &str) -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
    }

    #[test]
    fn a_process_reports_what_it_uses() {
        let text = openmetrics(&process_registry());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now - 3600.0..=now).contains(&value(&text, "process_start_time_seconds")), "{text}");
        assert!((0.0..1e6).contains(&value(&text, "process_cpu_seconds_total")), "{text}");
        assert!(value(&text, "process_resident_memory_bytes") > 100_000.0, "{text}");
        assert!(
            value(&text, "process_virtual_memory_bytes") >= value(&text, "process_resident_memory_bytes"),
            "{text}"
        );
        assert!(value(&text, "process_threads") >= 1.0, "{text}");
        assert!((3.0..value(&text, "process_max_fds")).contains(&value(&text, "process_open_fds")), "{text}");
        let build = format!("exorelay_build_info{{version=\"{}\",", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&build), "{text}");
    }
}
