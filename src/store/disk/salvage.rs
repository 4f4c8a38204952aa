//! What damaged bytes of a journal still tell: whose they were. Pure.
//!
//! A bit that flips in a record leaves the heads around it as they were. So it can be told which records are missing, and
//! nobody who reads takes what is left for everything.

use std::ops::Range;

use bytes::Bytes;

use super::journal::item_at;
use super::page::{TailEntry, read_page, read_tail};
use crate::store::batch::LogId;

/// What was in the bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Salvaged {
    /// Positions of records, by their log.
    pub(super) records: Vec<(LogId, Range<u64>)>,
    /// Keys of tables, as the engine writes them.
    pub(super) keys: Vec<Bytes>,
}

/// Looks for everything in the bytes that can be understood.
pub(super) fn salvage(damaged: &[u8]) -> Salvaged {
    let (mut salvaged, mut rest) = (Salvaged::default(), damaged);
    while !rest.is_empty() {
        rest = match item_at(rest) {
            Some((key, value, behind)) => {
                salvaged.note(key, value);
                behind
            }
            None => &rest[1..],
        };
    }
    salvaged
}

impl Salvaged {
    fn note(&mut self, key: &[u8], value: &[u8]) {
        let value = Bytes::copy_from_slice(value);
        if key.contains(&0) && key.first().is_some_and(|first| first.is_ascii_lowercase()) {
            self.keys.push(Bytes::copy_from_slice(key));
        } else if key.len() == 8 {
            let appended = read_tail(&value).into_iter().flatten().filter_map(|entry| match entry {
                TailEntry::Appended { log, records } => Some((log, records.start..records.end())),
                TailEntry::Dropped { .. } => None,
            });
            self.records.extend(appended);
        } else if let Some((log, start)) = log_and_start(key)
            && let Some(page) = read_page(start, &value)
        {
            self.records.push((log, start..page.end()));
        }
    }
}

fn log_and_start(page_key: &[u8]) -> Option<(LogId, u64)> {
    let (log, start) = page_key.split_first_chunk()?;
    Some((LogId(u64::from_be_bytes(*log)), u64::from_be_bytes(start.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn garbage_tells_nothing_and_does_not_panic(bytes in prop::collection::vec(0..5_u8, 0..400)) {
            prop_assert!(salvage(&bytes).records.is_empty());
        }
    }
}
