//! Meaning of a service's answer for the message and for the service's health.

use super::Health;

/// Result of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The service answered with this status.
    Status(u16),
    /// No answer: connection refused or broken, or timeout.
    Silence,
}

/// Disposition of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// The service has handled the message.
    Handled,
    /// Call the service again.
    Retry,
    /// The service redirects with this status; a retry would not change that.
    Redirected(u16),
    /// The service refuses the message with this status; a retry would not change that.
    Refused(u16),
}

impl Outcome {
    /// Returns what to do with the message. The retryable statuses come from RFC 9110 (`408`, `5xx`), RFC 8470 (`425`) and
    /// RFC 6585 (`429`).
    pub(crate) fn disposition(self) -> Disposition {
        match self {
            Self::Status(200..=299) => Disposition::Handled,
            Self::Status(408 | 425 | 429 | 500..=599) | Self::Silence => Disposition::Retry,
            Self::Status(status @ 300..=399) => Disposition::Redirected(status),
            Self::Status(status) => Disposition::Refused(status),
        }
    }

    /// Returns the service's health. Every answer proves that it is alive, except those of a gateway in front of a dead
    /// service.
    pub(crate) fn health(self) -> Health {
        match self {
            // A 500 may be caused by a single message, whereas these come from a gateway that cannot reach the service.
            Self::Silence | Self::Status(502..=504) => Health::Failing,
            Self::Status(_) => Health::Alive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(statuses: impl IntoIterator<Item = u16>, disposition: impl Fn(u16) -> Disposition, health: Health) {
        for status in statuses {
            let outcome = Outcome::Status(status);
            assert_eq!((outcome.disposition(), outcome.health()), (disposition(status), health), "{status}");
        }
    }

    #[test]
    fn every_2xx_is_handled() {
        check([200, 201, 202, 204, 299], |_| Disposition::Handled, Health::Alive);
    }

    #[test]
    fn a_failing_service_is_called_again() {
        check([502, 503, 504], |_| Disposition::Retry, Health::Failing);
        check([500, 501, 505, 599], |_| Disposition::Retry, Health::Alive);
        assert_eq!((Outcome::Silence.disposition(), Outcome::Silence.health()), (Disposition::Retry, Health::Failing));
    }

    #[test]
    fn a_service_that_asks_to_wait_is_called_again_and_counts_as_alive() {
        check([408, 425, 429], |_| Disposition::Retry, Health::Alive);
    }

    #[test]
    fn redirects_and_other_refusals_are_final() {
        check([300, 301, 302, 303, 304, 307, 308], Disposition::Redirected, Health::Alive);
        check([400, 401, 403, 404, 409, 410, 413, 415, 422, 451], Disposition::Refused, Health::Alive);
        check([101, 199, 600, 999], Disposition::Refused, Health::Alive);
    }
}
