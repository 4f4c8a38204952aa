//! Watches the service behind a webhook: finds out that it hangs, and that it answers again.

use std::time::{Duration, Instant};

use super::gate::Pulse;
use super::rules::{Health, Outcome};
use super::service::Webhook;
use crate::http::{Client, ClientError, ClientLimits, accepts};
use crate::relay::Relay;

/// Interval of looking at the calls, and of probes of a service that refuses connections.
const INTERVAL: Duration = Duration::from_millis(250);

/// Number of intervals between two probes of a service that accepts connections and does not answer.
const SILENT_INTERVALS: u32 = 4;

/// Time for the answer to a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Time for which a service counts as away after it has let calls run without an answer, unless it answers one.
const HANG_MEMORY: Duration = Duration::from_secs(10);

/// Longest answer to a probe that is read.
const PROBE_BYTES_MAX: usize = 16 * 1024;

/// A service that lets calls run without an answer, although it may answer probes.
#[derive(Default)]
struct Hang(Option<Hung>);

struct Hung {
    /// Number of calls that it had answered before.
    answers: u64,
    until: Instant,
}

impl Hang {
    /// Updates the state. Returns the reason why the service counts as away, if it does.
    fn update(&mut self, pulse: Pulse, hang: Duration, now: Instant) -> Option<String> {
        if pulse.silence >= hang {
            self.0 = Some(Hung { answers: pulse.answers, until: now + HANG_MEMORY });
        }
        self.0 = self.0.take().filter(|hung| hung.answers == pulse.answers && now < hung.until);
        self.0.as_ref().map(|_| format!("no call to it was answered for {} ms", hang.as_millis()))
    }
}

/// Result of a probe.
enum Probe {
    Answers,
    Refuses(String),
    IsSilent(String),
}

impl Webhook {
    /// Watches the service until the future is dropped, and reports to the bus, to `/ready` and in the log that it is away or
    /// answers again.
    pub(crate) async fn watch(self, relay: Relay) {
        let client = Client::new(ClientLimits {
            connect_timeout: PROBE_TIMEOUT,
            timeout: PROBE_TIMEOUT,
            answer_bytes_max: PROBE_BYTES_MAX,
        });
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The reason why the last probe had no answer, and the number of intervals until the next probe.
        let (mut absence, mut skipped, mut hang) = (None, 0, Hang::default());
        loop {
            interval.tick().await;
            let pulse = self.gate().pulse();
            let is_suspect = absence.is_some() || pulse.is_failing || pulse.silence >= self.hang();
            if !is_suspect {
                skipped = 0;
            } else if skipped > 0 {
                skipped -= 1;
            } else {
                match self.probe(&client).await {
                    Probe::Answers => {
                        // A service may have come back before the first probe.
                        if absence.take().is_some() | self.gate().take_silence() {
                            self.gate().probe_now();
                        }
                        skipped = SILENT_INTERVALS;
                    }
                    Probe::Refuses(cause) => absence = Some(cause),
                    Probe::IsSilent(cause) => {
                        absence = Some(cause);
                        skipped = SILENT_INTERVALS;
                    }
                }
            }
            let pulse = self.gate().pulse();
            let hung = hang.update(pulse, self.hang(), Instant::now());
            self.report_absence(&relay, absence.as_deref().or(hung.as_deref()), pulse);
        }
    }

    /// Reports that the service is away while it answers no probes or no calls, or calls to it are paused.
    fn report_absence(&self, relay: &Relay, absence: Option<&str>, pulse: Pulse) {
        let is_away = absence.is_some() || pulse.is_held;
        self.gate().set_absence(absence.map(str::to_owned));
        if is_away == self.absence().is_away() {
            return;
        }
        match is_away {
            true => tracing::warn!(
                url = self.authority(),
                cause = absence.unwrap_or("calls are paused"),
                "the service is away: other instances of the role are preferred"
            ),
            false => tracing::info!(url = self.authority(), "the service is no longer away"),
        }
        self.metrics().away.set(i64::from(is_away));
        relay.set_away(is_away);
        self.absence().set(is_away);
    }

    /// Makes a cheap call, whose answer may be anything but that of a gateway without a service. One that this process has
    /// started is not called: its supervisor sees that it has ended, and it may be written for nothing but messages.
    async fn probe(&self, client: &Client) -> Probe {
        if self.is_supervised() {
            let (host, port) = self.target().place();
            return match accepts(host, port, PROBE_TIMEOUT).await {
                Ok(()) => Probe::Answers,
                Err(cause) => Probe::Refuses(cause),
            };
        }
        match client.call(self.target().probe()).await {
            Ok(answer) => match Outcome::Status(answer.status.as_u16()).health() {
                Health::Alive => Probe::Answers,
                Health::Failing => Probe::IsSilent(format!("it answers a probe with {}", answer.status.as_u16())),
            },
            Err(ClientError::AnswerTooLarge { .. }) => Probe::Answers,
            Err(error @ ClientError::Connect { .. }) => Probe::Refuses(error.to_string()),
            Err(error) => Probe::IsSilent(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANG: Duration = Duration::from_secs(5);

    fn pulse(silence: Duration, answers: u64) -> Pulse {
        Pulse { is_failing: false, is_held: false, silence, answers }
    }

    #[test]
    fn a_service_hangs_until_it_answers_a_call_or_has_had_no_call_for_a_while() {
        let (mut hang, now) = (Hang::default(), Instant::now());
        let mut is_away = |silence: Duration, answers: u64, after: Duration| {
            hang.update(pulse(silence, answers), HANG, now + after).is_some()
        };
        assert!(!is_away(HANG / 2, 3, HANG / 2));
        assert!(is_away(HANG, 3, HANG));
        // Its calls have timed out, and nothing new goes to it.
        assert!(is_away(Duration::ZERO, 3, HANG * 2));
        assert!(!is_away(Duration::ZERO, 3, HANG + HANG_MEMORY));
        assert!(is_away(HANG, 3, HANG * 4));
        assert!(!is_away(Duration::ZERO, 4, HANG * 4));
    }
}
