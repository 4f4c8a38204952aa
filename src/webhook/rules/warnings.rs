//! Limits the warnings about answers that are no reply.

use std::time::{Duration, Instant};

use crate::webhook::wire::Other;

/// Time until a warning of the same kind is due again.
const INTERVAL: Duration = Duration::from_secs(600);

/// Times of the last warnings, one for each kind.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    no_object: Option<Instant>,
    no_reply: Option<Instant>,
}

impl Warnings {
    /// Returns true, and counts as a warning, if there was none of this kind for ten minutes.
    pub(crate) fn is_due(&mut self, other: Other, now: Instant) -> bool {
        let last = match other {
            Other::NoObject => &mut self.no_object,
            Other::NoReply => &mut self.no_reply,
        };
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= INTERVAL);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_reported_once_in_ten_minutes() {
        let (mut warnings, now) = (Warnings::default(), Instant::now());
        assert!(warnings.is_due(Other::NoObject, now));
        assert!(!warnings.is_due(Other::NoObject, now + INTERVAL / 2));
        assert!(warnings.is_due(Other::NoReply, now));
        assert!(warnings.is_due(Other::NoObject, now + INTERVAL));
    }
}
