//! Content that was accepted and is not written yet, so that no more is accepted than the disk has room for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::{Error, Store};

/// How many bytes are on their way.
#[derive(Debug, Clone, Default)]
pub(super) struct Coming(Arc<AtomicU64>);

/// Some of them, until this is dropped: then they are written, or will not be.
#[derive(Debug)]
pub(super) struct Claim {
    bytes: u64,
    coming: Coming,
}

impl Coming {
    /// Claims room for so many bytes more. Never blocks. Errors: those of [`Store::check_room`].
    pub(super) fn claim(&self, store: &dyn Store, bytes: u64) -> Result<Claim, Error> {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        // Made before the check: what is refused is given back.
        let claim = Claim { bytes, coming: self.clone() };
        store.check_room(before.saturating_add(bytes))?;
        Ok(claim)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.coming.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
