//! Disk stores for tests.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::config::{DiskConfig, Durability};
use super::flusher::FlushLimits;
use super::store::DiskStore;

/// Limits at which nearly every commit is flushed.
pub(super) const TINY_LIMITS: FlushLimits = FlushLimits { flush_at_bytes: 64, journal_bytes_max: 256, segments_max: 2 };

pub(super) fn config(dir: &Path) -> DiskConfig {
    DiskConfig { dir: dir.to_owned(), durability: Durability::Memory, free_bytes_min: 0, cache_bytes: 1024 * 1024 }
}

/// Opens a store with the default limits.
pub(in crate::store) fn open(dir: &Path) -> DiskStore {
    DiskStore::open(&config(dir)).unwrap()
}

/// Opens a store that flushes at every opportunity.
pub(in crate::store) fn open_flushing(dir: &Path) -> DiskStore {
    DiskStore::open_with(&config(dir), TINY_LIMITS).unwrap()
}

/// Returns the disk usage of a directory. Sparse files use less than their length; files may vanish meanwhile.
pub(super) fn disk_usage(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(folder) if folder.is_dir() => disk_usage(&entry.path()),
        Ok(file) => file.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}
