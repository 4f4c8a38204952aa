//! A limit on how often a line is logged.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time in which at most [`LINES_MAX`] lines are logged.
const INTERVAL: Duration = Duration::from_secs(10);
const LINES_MAX: u32 = 5;

/// Admits five lines in ten seconds, and counts those that it leaves out.
#[derive(Debug)]
pub(crate) struct LogLimit(Mutex<State>);

#[derive(Debug)]
struct State {
    /// The time of the first line, and the number of lines since.
    begun: Option<(Instant, u32)>,
    left_out: u64,
}

impl LogLimit {
    /// Creates a limit that admits the next line.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(State { begun: None, left_out: 0 }))
    }

    /// Returns the number of lines that were left out since the last one if this one is to be logged; `None` if it is to be left
    /// out, too.
    pub(crate) fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut state.begun {
            Some((begun, lines)) if now.saturating_duration_since(*begun) < INTERVAL => {
                if *lines == LINES_MAX {
                    state.left_out += 1;
                    return None;
                }
                *lines += 1;
            }
            begun => *begun = Some((now, 1)),
        }
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_repeats_is_logged_once_in_a_while_with_the_number_of_others() {
        let (limit, now) = (LogLimit::new(), Instant::now());
        for _ in 0..LINES_MAX {
            assert_eq!(limit.admit_at(now), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(limit.admit_at(now + INTERVAL / 2), None);
        }
        assert_eq!(limit.admit_at(now + INTERVAL), Some(1000));
        assert_eq!(limit.admit_at(now + 2 * INTERVAL), Some(0));
    }
}
