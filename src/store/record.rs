//! A record on its way into a log.

use std::ops::Deref;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// A record of this size is large: it is not copied where that can be avoided, and it has a sum of its own.
pub(super) const LARGE_BYTES: usize = 32 * 1024;

/// The bytes of a record, shared with other owners of them.
///
/// A store on disk needs the checksum of a large record. Computing it takes a fraction of the time while the bytes are still
/// in the processor's cache, so the code that receives them should do it, with [`checksum_of`]; otherwise the store does.
#[derive(Debug, Clone, Default)]
pub struct Record {
    bytes: Bytes,
    sum: Option<u64>,
}

impl Record {
    /// A record whose checksum is known: what [`checksum_of`] returned for these bytes.
    pub fn with_checksum(bytes: Bytes, checksum: Option<u64>) -> Self {
        Self { bytes, sum: checksum }
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(super) fn is_large(&self) -> bool {
        self.bytes.len() >= LARGE_BYTES
    }

    /// The xxh3 of its bytes, if it is large.
    pub(super) fn sum(&self) -> Option<u64> {
        self.is_large().then(|| self.sum.unwrap_or_else(|| sum_of(&self.bytes)))
    }
}

/// The checksum that a record of these bytes needs in a store that blocks; `None` if the record is small and needs none.
pub fn checksum_of(record: &[u8]) -> Option<u64> {
    (record.len() >= LARGE_BYTES).then(|| sum_of(record))
}

/// What a large record is told from damage by.
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
    /// Whether the bytes are the same.
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Record {}
