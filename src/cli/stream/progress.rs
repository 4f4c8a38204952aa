//! The progress line of long transfers.

use std::time::Duration;

use tokio::time::Instant;

use crate::cli::output::Status;

/// Transfers shorter than this show no progress.
const DELAY: Duration = Duration::from_secs(1);

/// Time between updates of the line.
const INTERVAL: Duration = Duration::from_millis(250);

/// One line on stderr that is rewritten as work goes on; only shown on a terminal, and removed at the end.
pub(super) struct Progress {
    status: Status,
    began: Instant,
    next: Instant,
    done: Amount,
    total: Option<u64>,
}

/// An amount of finished work.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    bytes: u64,
    lines: u64,
}

impl Progress {
    /// Starts to measure a transfer of `total` bytes, if that is known.
    pub(super) fn start(total: Option<u64>) -> Self {
        Self { status: Status::new(), total, ..Self::silent() }
    }

    pub(super) fn silent() -> Self {
        let began = Instant::now();
        Self { status: Status::hidden(), began, next: began + DELAY, done: Amount::default(), total: None }
    }

    /// Records that `bytes` more are the last ones.
    pub(super) fn expect(&mut self, bytes: u64) {
        self.total = Some(self.done.bytes + bytes);
    }

    /// Adds finished work and updates the line if it is due.
    pub(super) fn add(&mut self, bytes: u64, lines: u64) {
        self.done = Amount { bytes: self.done.bytes + bytes, lines: self.done.lines + lines };
        let now = Instant::now();
        if self.status.is_visible() && now >= self.next {
            self.next = now + INTERVAL;
            self.status.show(&line(self.done, self.total, now - self.began));
        }
    }
}

/// Formats the line: `1200 lines, 12.3 MiB, 4.1 MiB/s`, or `12.3 of 40.0 MiB (30 %), 4.1 MiB/s, 7 s left`.
fn line(done: Amount, total: Option<u64>, took: Duration) -> String {
    let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    let lines = if done.lines > 0 { format!("{} lines, ", done.lines) } else { String::new() };
    let speed = mib(done.bytes) / took.as_secs_f64().max(0.001);
    // The printed form of a content may be longer than its body.
    let Some(total) = total.filter(|total| *total > 0).map(|total| total.max(done.bytes)) else {
        return format!("{lines}{:.1} MiB, {speed:.1} MiB/s", mib(done.bytes));
    };
    let left =
        if speed > 0.0 { format!(", {:.0} s left", (mib(total - done.bytes) / speed).ceil()) } else { String::new() };
    let percent = u128::from(done.bytes) * 100 / u128::from(total);
    format!("{lines}{:.1} of {:.1} MiB ({percent} %), {speed:.1} MiB/s{left}", mib(done.bytes), mib(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_line_shows_amount_and_speed() {
        let line = |bytes, lines, took| line(Amount { bytes, lines }, None, took);
        assert_eq!(line(3 * MIB, 1_200, Duration::from_secs(2)), "1200 lines, 3.0 MiB, 1.5 MiB/s");
        assert_eq!(line(0, 0, Duration::ZERO), "0.0 MiB, 0.0 MiB/s");
    }

    #[test]
    fn with_a_known_size_it_shows_the_percentage_and_the_time_left() {
        let line = |bytes, total| line(Amount { bytes, lines: 0 }, Some(total), Duration::from_secs(2));
        assert_eq!(line(3 * MIB, 12 * MIB), "3.0 of 12.0 MiB (25 %), 1.5 MiB/s, 6 s left");
        assert_eq!(line(12 * MIB, 12 * MIB), "12.0 of 12.0 MiB (100 %), 6.0 MiB/s, 0 s left");
        assert_eq!(line(13 * MIB, 12 * MIB), "13.0 of 13.0 MiB (100 %), 6.5 MiB/s, 0 s left");
        assert_eq!(line(0, 12 * MIB), "0.0 of 12.0 MiB (0 %), 0.0 MiB/s");
        assert_eq!(line(0, 0), "0.0 MiB, 0.0 MiB/s");
    }
}
