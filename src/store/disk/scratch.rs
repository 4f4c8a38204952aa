//! Disk stores for tests.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::config::{DiskConfig, Durability};
use super::settler::Limits;
use super::store::DiskStore;

/// Settles at every opportunity.
pub(super) const HASTY: Limits = Limits { settled_at_bytes: 64, bytes_max: 256, segments_max: 2 };

pub(super) fn config(dir: &Path) -> DiskConfig {
    DiskConfig { dir: dir.to_owned(), durability: Durability::Memory, free_bytes_min: 0, cache_bytes: 1024 * 1024 }
}

/// One with the usual limits.
pub(in crate::store) fn roomy(dir: &Path) -> DiskStore {
    DiskStore::open(&config(dir)).unwrap()
}

/// One that settles at every opportunity.
pub(in crate::store) fn hasty(dir: &Path) -> DiskStore {
    DiskStore::open_with(&config(dir), HASTY).unwrap()
}

/// What a folder occupies; files with holes are smaller than long. Some go away while it is counted.
pub(super) fn occupied_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(folder) if folder.is_dir() => occupied_bytes(&entry.path()),
        Ok(file) => file.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}
