//! Keys in the database. Pure.
//!
//! The keyspace `tables` has the keys made by [`table_key`]. The keys of `pages`, in order, are:
//!
//! - a log and a position: the page that begins there,
//! - [`RETAINED`] and a segment of the journal: the segment is retained; the value is the number of bytes still needed in it,
//! - [`DROPPED`] and a log: the log was dropped and still has pages,
//! - [`ENDS`] and a log: the end of its pages,
//! - [`FLUSHED`]: the number of the first commit that is not flushed.

use bytes::{BufMut, Bytes};

use crate::store::batch::{LogId, Table};

// Reserved log ids, for keys that belong to no log.
pub(super) const RETAINED: LogId = LogId(u64::MAX - 2);
pub(super) const DROPPED: LogId = LogId(u64::MAX - 1);
pub(super) const ENDS: LogId = LogId(u64::MAX);

/// Sorts after the end of every log.
pub(super) const FLUSHED: [u8; 16] = [0xff; 16];

/// Returns the key of a page.
pub(super) fn page_key(log: LogId, start: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&log.0.to_be_bytes());
    key[8..].copy_from_slice(&start.to_be_bytes());
    key
}

/// Returns the position in the key of a page; `None` if the key is too short.
pub(super) fn page_start(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.get(8..)?.first_chunk()?))
}

/// Returns the database's key for the key of a table: the owner's prefix, the table's name, a zero byte, the key.
pub(super) fn table_key(table: Table, key: &[u8]) -> Bytes {
    let [prefix, name] = table.parts();
    let mut whole = Vec::with_capacity(prefix.len() + name.len() + 1 + key.len());
    whole.put_slice(prefix.as_bytes());
    whole.put_slice(name.as_bytes());
    whole.put_u8(0);
    whole.put_slice(key);
    whole.into()
}
