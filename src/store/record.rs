//! A record on its way into a log.

use std::ops::Deref;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// A record of this size is large: it is not copied where that can be avoided, and it has a sum of its own.
pub(super) const LARGE_BYTES: usize = 32 * 1024;

/// The bytes of a record, shared with whoever has them.
///
/// A store on a disk needs the sum of a large one. To sum bytes takes a fraction of the time while the processor still has
/// them at hand, so whoever has just received them does it, with [`Record::summed`]; the store does where nobody has.
#[derive(Debug, Clone, Default)]
pub struct Record {
    bytes: Bytes,
    sum: Option<u64>,
}

impl Record {
    /// The same with its sum, if it is large.
    #[must_use]
    pub fn summed(mut self) -> Self {
        self.sum = self.sum();
        self
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
