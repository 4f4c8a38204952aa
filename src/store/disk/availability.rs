//! Obstacles that a store has met lately: logged when one begins, changes and is over, and reported by `GET /ready`.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::store::error::{Cause, Error};
use crate::store::obstacle::Obstacle;
use crate::sync::lock;

/// Number of files that must open for an obstacle to be over: as many as one read or one flush needs.
const PROBED_FILES: usize = 4;

/// Time without the obstacle after which it is over, so that one that comes and goes is reported once.
const QUIET: Duration = Duration::from_secs(1);

/// The obstacle that the store has met last, while it lasts.
#[derive(Debug, Default)]
pub(super) struct Availability(Mutex<Option<Met>>);

#[derive(Debug, Clone, Copy)]
struct Met {
    obstacle: Obstacle,
    at: Instant,
}

impl Availability {
    /// Notes the obstacle behind a failed call, if there is one.
    pub(super) fn note(&self, error: &Error) {
        let Error::Unavailable { obstacle, source } = error else { return };
        // It was noted before.
        if !matches!(source, Cause::Earlier) {
            self.meet(*obstacle, Instant::now());
        }
    }

    fn meet(&self, obstacle: Obstacle, at: Instant) {
        let before = lock(&self.0).replace(Met { obstacle, at });
        if before.is_none_or(|before| before.obstacle != obstacle) {
            tracing::warn!(cause = %obstacle, "the store cannot work; no data is damaged, and it is tried again");
        }
    }

    /// Returns the error of a call while the obstacle lasts. Never blocks. Errors: [`Error::Unavailable`].
    pub(super) fn check(&self) -> Result<(), Error> {
        match *lock(&self.0) {
            Some(Met { obstacle, .. }) => Err(Error::Unavailable { obstacle, source: Cause::Earlier }),
            None => Ok(()),
        }
    }

    /// Opens a file a few times: meets the obstacle that this meets, or ends one that was not met lately.
    pub(super) fn probe(&self, file: &Path) {
        let opened: Result<Vec<File>, _> = (0..PROBED_FILES).map(|_| File::open(file)).collect();
        match opened.map_err(|error| Obstacle::of(&error)) {
            Err(Some(obstacle)) => self.meet(obstacle, Instant::now()),
            Ok(_) | Err(None) => self.end(Instant::now()),
        }
    }

    /// Ends the obstacle if it was not met lately.
    fn end(&self, now: Instant) {
        let over = lock(&self.0).take_if(|met| now.saturating_duration_since(met.at) >= QUIET);
        if let Some(Met { obstacle, .. }) = over {
            tracing::info!(was = %obstacle, "the store works again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_obstacle_lasts_until_it_was_not_met_for_a_while() {
        let (availability, now) = (Availability::default(), Instant::now());
        availability.check().unwrap();
        availability.meet(Obstacle::Descriptors, now);
        availability.end(now + QUIET / 2);
        let refused = availability.check().unwrap_err();
        assert!(matches!(refused, Error::Unavailable { obstacle: Obstacle::Descriptors, .. }), "{refused}");
        assert!(refused.is_temporary() && refused.to_string().contains("too many open files"), "{refused}");
        availability.end(now + QUIET);
        availability.check().unwrap();
    }

    #[test]
    fn damage_is_no_obstacle() {
        let availability = Availability::default();
        availability.note(&Error::Damaged { log: crate::store::LogId(1), position: 0, source: Cause::RecordsMissing });
        availability.check().unwrap();
    }
}
