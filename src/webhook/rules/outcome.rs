//! What a service's answer says about the message, and about the service.

use super::Health;

/// What one call ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer with this status.
    Status(u16),
    /// No answer: no connection, a broken one, or too late.
    Silence,
}

/// What becomes of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The service has handled it.
    Handled,
    /// The service is to be called again.
    Again,
    /// The service points elsewhere with this status, and calling again would not change that.
    Redirected(u16),
    /// The service does not want it, says this status, and calling again would not change that.
    Refused(u16),
}

impl Outcome {
    /// What becomes of the message. The statuses that ask for another try are those of RFC 9110 (`408`, `5xx`), RFC 8470
    /// (`425`) and RFC 6585 (`429`).
    pub(crate) fn fate(self) -> Fate {
        match self {
            Self::Status(200..=299) => Fate::Handled,
            Self::Status(408 | 425 | 429 | 500..=599) | Self::Silence => Fate::Again,
            Self::Status(status @ 300..=399) => Fate::Redirected(status),
            Self::Status(status) => Fate::Refused(status),
        }
    }

    /// How the service is doing. One that answers is alive, unless it says itself that nobody is there.
    pub(crate) fn health(self) -> Health {
        match self {
            // A 500 is the fault of one message as often as not; these say that nobody is there to have faults.
            Self::Silence | Self::Status(502..=504) => Health::Failing,
            Self::Status(_) => Health::Alive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(statuses: impl IntoIterator<Item = u16>, fate: impl Fn(u16) -> Fate, health: Health) {
        for status in statuses {
            let outcome = Outcome::Status(status);
            assert_eq!((outcome.fate(), outcome.health()), (fate(status), health), "{status}");
        }
    }

    #[test]
    fn every_2xx_is_handled() {
        check([200, 201, 202, 204, 299], |_| Fate::Handled, Health::Alive);
    }

    #[test]
    fn a_failing_service_is_called_again() {
        check([502, 503, 504], |_| Fate::Again, Health::Failing);
        check([500, 501, 505, 599], |_| Fate::Again, Health::Alive);
        assert_eq!((Outcome::Silence.fate(), Outcome::Silence.health()), (Fate::Again, Health::Failing));
    }

    #[test]
    fn a_service_that_wants_a_rest_is_called_again_and_counts_as_alive() {
        check([408, 425, 429], |_| Fate::Again, Health::Alive);
    }

    #[test]
    fn redirects_and_other_refusals_are_final() {
        check([300, 301, 302, 303, 304, 307, 308], Fate::Redirected, Health::Alive);
        check([400, 401, 403, 404, 409, 410, 413, 415, 422, 451], Fate::Refused, Health::Alive);
        check([101, 199, 600, 999], Fate::Refused, Health::Alive);
    }
}
