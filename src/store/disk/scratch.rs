//! Disk stores for tests.

use std::path::Path;

use super::config::{DiskConfig, Durability};
use super::plan::TailLimits;
use super::store::DiskStore;

/// One that shortens its tail at every opportunity.
pub(super) const HASTY: TailLimits = TailLimits { growing_bytes: 16, tail_bytes: 64, commits: 2 };

pub(super) fn config(dir: &Path) -> DiskConfig {
    DiskConfig { dir: dir.to_owned(), durability: Durability::Memory, free_bytes_min: 0, cache_bytes: 1024 * 1024 }
}

/// One with the usual limits.
pub(in crate::store) fn roomy(dir: &Path) -> DiskStore {
    DiskStore::open(&config(dir)).unwrap()
}

/// One that shortens its tail at every opportunity.
pub(in crate::store) fn hasty(dir: &Path) -> DiskStore {
    DiskStore::open_with(&config(dir), HASTY).unwrap()
}
