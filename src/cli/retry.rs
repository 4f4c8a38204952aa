//! Calls that are made again, and the notice about them.

use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep};

use super::duration::duration;
use super::output::{Status, warn};
use super::token::Token;
use crate::http::Backoff;
use crate::time::deadline_in;

/// Maximum wait between attempts.
pub(super) const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

/// The flags of a call: for a server that is not up yet, and for one that asks who is calling.
#[derive(Debug, Default, Clone, Args)]
pub(super) struct CallOptions {
    #[command(flatten)]
    pub(super) token: Token,
    /// Time to keep trying while there is no server, or it is busy [default: one attempt]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    retry_for: Option<Duration>,
}

impl CallOptions {
    /// Returns the attempts that the flag allows.
    pub(super) fn attempts(&self) -> Attempts {
        Attempts::new(self.retry_for.unwrap_or_default(), Notice::new())
    }
}

/// The attempts to do one thing.
pub(super) struct Attempts {
    deadline: Instant,
    backoff: Backoff,
    notice: Notice,
}

impl Attempts {
    /// Allows attempts for `retry_for` from now on; one, if that is zero.
    pub(super) fn new(retry_for: Duration, notice: Notice) -> Self {
        Self { deadline: deadline_in(retry_for), backoff: Backoff::new(RETRY_WAIT_MAX), notice }
    }

    /// Waits until the next attempt, at least for `asked`, and says why. Returns false at once if there is to be none.
    /// Cancel-safe.
    pub(super) async fn wait(&mut self, reason: &str, asked: Duration) -> bool {
        let wait = asked.max(self.backoff.next());
        let left = self.deadline.saturating_duration_since(Instant::now());
        if wait >= left {
            return false;
        }
        self.notice.show(reason, Some(left));
        sleep(wait).await;
        true
    }
}

/// The notice that something is tried again: on a terminal one line that is rewritten, else a line for each new reason.
pub(super) struct Notice {
    status: Status,
    reason: String,
    attempts: u32,
}

impl Notice {
    pub(super) fn new() -> Self {
        Self { status: Status::new(), reason: String::new(), attempts: 1 }
    }

    /// Returns a notice that is never rewritten, for commands that print a content that may have begun a line.
    pub(super) fn lines() -> Self {
        Self { status: Status::hidden(), ..Self::new() }
    }

    /// Shows that what failed for this reason is tried again, for the time that is `left`, or without end.
    pub(super) fn show(&mut self, reason: &str, left: Option<Duration>) {
        self.attempts += 1;
        if self.status.is_visible() {
            let left = left.map(|left| format!(", {} s left", left.as_secs())).unwrap_or_default();
            return self.status.show(&format!("exorelay: retrying (attempt {}{left}): {reason}", self.attempts));
        }
        if self.reason != reason {
            reason.clone_into(&mut self.reason);
            warn(&format!("{reason}: retrying"));
        }
    }

    /// Forgets the reason: the next failure is a new one.
    pub(super) fn reset(&mut self) {
        self.reason.clear();
        self.attempts = 1;
    }
}
