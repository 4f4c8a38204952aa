//! Space for content that is accepted and not committed yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::Error;

/// Bytes that are reserved in one store, by all of its owners together.
#[derive(Debug, Clone, Default)]
pub struct Reservations(Arc<AtomicU64>);

/// Reserved bytes; given back when this is dropped, which is when they are committed or will not be.
#[derive(Debug)]
pub struct Reservation {
    bytes: u64,
    /// `None` in a store that has space without end.
    reserved: Option<Reservations>,
}

impl Reservations {
    /// Reserves `bytes`, if `check` accepts the sum of everything that is reserved then. Errors: those of `check`.
    pub fn reserve(&self, bytes: u64, check: impl FnOnce(u64) -> Result<(), Error>) -> Result<Reservation, Error> {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        // Made before the check, so that a refusal gives the bytes back.
        let reservation = Reservation { bytes, reserved: Some(self.clone()) };
        check(before.saturating_add(bytes))?;
        Ok(reservation)
    }
}

impl Reservation {
    /// A reservation that takes nothing, for stores without a bound.
    pub fn unlimited() -> Self {
        Self { bytes: 0, reserved: None }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(reserved) = &self.reserved {
            reserved.0.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_add_up_until_they_are_dropped() {
        let (reservations, full) = (Reservations::default(), || Error::DiskFull { free_bytes: 10, needed_bytes: 11 });
        let reserve = |bytes| reservations.reserve(bytes, |sum| if sum > 10 { Err(full()) } else { Ok(()) });
        let first = reserve(6).unwrap();
        assert!(reserve(5).is_err());
        let _second = reserve(4).unwrap();
        assert!(reserve(1).is_err());
        drop(first);
        assert!(reserve(6).is_ok(), "a refusal takes nothing");
    }
}
