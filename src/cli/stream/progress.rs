//! The progress line of long transfers.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::time::Instant;

/// Transfers shorter than this show no progress.
const DELAY: Duration = Duration::from_secs(1);

/// Time between updates of the line.
const INTERVAL: Duration = Duration::from_millis(250);

/// One line on stderr that is rewritten as work goes on; only shown on a terminal.
pub(super) struct Progress {
    visible: bool,
    began: Instant,
    next: Instant,
    bytes: u64,
    lines: u64,
    written: bool,
}

impl Progress {
    pub(super) fn start() -> Self {
        Self { visible: io::stderr().is_terminal(), ..Self::silent() }
    }

    pub(super) fn silent() -> Self {
        let began = Instant::now();
        Self { visible: false, began, next: began + DELAY, bytes: 0, lines: 0, written: false }
    }

    /// Adds finished work and updates the line if it is due.
    pub(super) fn add(&mut self, bytes: u64, lines: u64) {
        (self.bytes, self.lines) = (self.bytes + bytes, self.lines + lines);
        let now = Instant::now();
        if self.visible && now >= self.next {
            self.next = now + INTERVAL;
            self.written = true;
            // A closed stderr does not matter.
            drop(write!(io::stderr(), "\r\x1b[K{}", line(self.bytes, self.lines, now - self.began)));
        }
    }

    /// Removes the line.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.written) {
            drop(write!(io::stderr(), "\r\x1b[K"));
        }
    }
}

/// Formats the line: `1200 lines, 12.3 MiB, 4.1 MiB/s`.
fn line(bytes: u64, lines: u64, took: Duration) -> String {
    let lines = if lines > 0 { format!("{lines} lines, ") } else { String::new() };
    let mib = bytes as f64 / (1024.0 * 1024.0);
    format!("{lines}{mib:.1} MiB, {:.1} MiB/s", mib / took.as_secs_f64().max(0.001))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_shows_amount_and_speed() {
        assert_eq!(line(3 << 20, 1_200, Duration::from_secs(2)), "1200 lines, 3.0 MiB, 1.5 MiB/s");
        assert_eq!(line(0, 0, Duration::ZERO), "0.0 MiB, 0.0 MiB/s");
    }
}
