//! A record to be appended to a log.

use std::ops::Deref;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// Size from which a record is large: it is not copied where that can be avoided, and has its own checksum.
pub(super) const LARGE_BYTES: usize = 32 * 1024;

/// The bytes of a record, shared with their other owners.
///
/// The disk store needs the checksum of a large record. Computing it is several times faster while the bytes are still in the
/// processor's cache, so the code that receives them should do it, with [`checksum_of`]; otherwise the store does.
#[derive(Debug, Clone, Default)]
pub struct Record {
    bytes: Bytes,
    sum: Option<u64>,
}

impl Record {
    /// Creates a record with a known checksum: the result of [`checksum_of`] for these bytes.
    pub fn with_checksum(bytes: Bytes, checksum: Option<u64>) -> Self {
        Self { bytes, sum: checksum }
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(super) fn is_large(&self) -> bool {
        self.bytes.len() >= LARGE_BYTES
    }

    /// Returns the checksum of a large record; `None` for a small one.
    pub(super) fn sum(&self) -> Option<u64> {
        self.is_large().then(|| self.sum.unwrap_or_else(|| sum_of(&self.bytes)))
    }
}

/// Returns the checksum that a record of these bytes needs in a store that blocks; `None` for a small record, which needs none.
pub fn checksum_of(record: &[u8]) -> Option<u64> {
    (record.len() >= LARGE_BYTES).then(|| sum_of(record))
}

/// Returns the checksum of a large record (xxh3).
pub(super) fn sum_of(record: &[u8]) -> u64 {
    xxh3_64(record)
}

impl<B: Into<Bytes>> From<B> for Record {
    fn from(bytes: B) -> Self {
        Self { bytes: bytes.into(), sum: None }
    }
}

impl Deref for Record {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl PartialEq for Record {
    /// Compares the bytes only.
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Record {}
