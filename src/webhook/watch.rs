//! Watches the service behind a webhook: finds out that it hangs, and that it answers again.

use std::time::Duration;

use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Method, Request};
use bytes::Bytes;
use http_body_util::Full;

use super::gate::Pulse;
use super::rules::{Health, Outcome};
use super::service::Webhook;
use crate::http::{Client, ClientError, ClientLimits};
use crate::relay::Relay;

/// Interval of looking at the calls, and of probes of a service that refuses connections.
const INTERVAL: Duration = Duration::from_millis(250);

/// Number of intervals between two probes of a service that accepts connections and does not answer.
const SILENT_INTERVALS: u32 = 4;

/// Time for the answer to a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Longest answer to a probe that is read.
const PROBE_BYTES_MAX: usize = 16 * 1024;

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
        let (mut absence, mut skipped) = (None, 0);
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
            self.report_absence(&relay, absence.as_deref(), self.gate().pulse());
        }
    }

    /// Reports that the service is away while it does not answer probes, or calls to it are paused.
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

    /// Makes a cheap call, whose answer may be anything but that of a gateway without a service.
    async fn probe(&self, client: &Client) -> Probe {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.method_mut() = Method::HEAD;
        *request.uri_mut() = self.root();
        // An idle connection would occupy a service that serves one at a time.
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        match client.call(request).await {
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
