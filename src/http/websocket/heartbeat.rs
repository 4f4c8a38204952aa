//! Detects that the other end is gone. Pure: time comes in as an argument.

use std::time::{Duration, Instant};

/// Pings without an answer before the other end is taken for dead.
const PINGS_MAX: u32 = 2;

/// Liveness of the other end. Any frame is a sign of life.
pub(super) struct Heartbeat {
    every: Duration,
    /// Time of the last frame or ping.
    since: Instant,
    /// Pings sent since the last frame.
    pings: u32,
}

/// Action that a [`Heartbeat`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing is due.
    Wait,
    /// Send a ping.
    Ping,
    /// Take the other end for dead.
    GiveUp,
}

impl Heartbeat {
    pub(super) fn new(every: Duration, now: Instant) -> Self {
        Self { every, since: now, pings: 0 }
    }

    /// Notes a frame of the other end.
    pub(super) fn heard(&mut self, now: Instant) {
        self.since = now;
        self.pings = 0;
    }

    /// Returns the time of the next [`Heartbeat::check`].
    pub(super) fn due(&self) -> Instant {
        self.since + self.every
    }

    /// Asks for one ping per silent interval, and gives up when [`PINGS_MAX`] of them brought no frame.
    pub(super) fn check(&mut self, now: Instant) -> Beat {
        if now < self.due() {
            return Beat::Wait;
        }
        if self.pings == PINGS_MAX {
            return Beat::GiveUp;
        }
        self.since = now;
        self.pings += 1;
        Beat::Ping
    }

    /// Returns the silence after which the other end is taken for dead.
    pub(super) fn patience(&self) -> Duration {
        self.every * (PINGS_MAX + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_end_is_pinged_twice_and_then_taken_for_dead() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(SECOND, start);
        assert_eq!(heartbeat.check(start + SECOND / 2), Beat::Wait);
        assert_eq!(heartbeat.check(start + SECOND), Beat::Ping);
        assert_eq!(heartbeat.check(start + SECOND), Beat::Wait);
        assert_eq!(heartbeat.check(start + 2 * SECOND), Beat::Ping);
        assert_eq!(heartbeat.due(), start + heartbeat.patience());
        assert_eq!(heartbeat.check(start + 3 * SECOND), Beat::GiveUp);
    }

    #[test]
    fn a_pause_of_this_process_does_not_count_as_silence() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(SECOND, start);
        assert_eq!(heartbeat.check(start + 100 * SECOND), Beat::Ping);
        assert_eq!(heartbeat.check(start + 100 * SECOND), Beat::Wait);
    }

    #[test]
    fn any_frame_is_a_sign_of_life() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(SECOND, start);
        assert_eq!(heartbeat.check(start + 2 * SECOND), Beat::Ping);
        heartbeat.heard(start + 2 * SECOND);
        assert_eq!(heartbeat.due(), start + 3 * SECOND);
        assert_eq!(heartbeat.check(start + 3 * SECOND), Beat::Ping);
    }
}
