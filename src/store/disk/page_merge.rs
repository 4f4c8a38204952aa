//! Merging of small pages.
//!
//! A log that grows slowly gets a small page with each flush, and reading it would take a look-up for each. So the eighth small
//! page absorbs the seven before it, then seven of about the size that it has by then, and so on up to the size of a full page:
//! each record is rewritten once for every eightfold growth.

use bytes::Bytes;
use fjall::Keyspace;

use super::generation::LogGrowth;
use super::keys::{page_key, page_start};
use super::page::{Page, encode_records, full_pages, parse_page};
use crate::store::batch::LogId;
use crate::store::chunk::Chunk;
use crate::store::log::CHUNK_BYTES;

/// Number of pages that become one.
pub(super) const MERGED_PAGES: u8 = 8;

/// Number of pages that a page absorbs at once.
const ABSORBED: usize = MERGED_PAGES as usize - 1;

/// Number of pages before a new one whose sizes are considered: enough for records of a few bytes.
const CONSIDERED: usize = 5 * ABSORBED;

/// Size from which a new page is large enough to be left alone.
pub(super) const SMALL_BYTES: usize = CHUNK_BYTES / 2;

/// A key of `pages` and its new value; `None` removes it.
pub(super) type Entry = ([u8; 16], Option<Bytes>);

/// Bytes that may still be rewritten with one generation. Usually merging writes about as much as what is new, or three times
/// that.
pub(super) struct MergeBudget(usize);

impl Default for MergeBudget {
    fn default() -> Self {
        Self(64 * 1024 * 1024)
    }
}

/// Merges the new records of a log with small pages before them. Returns the merged page under the key of the first one, and
/// the removal of the others, in order. `None` if there is nothing to merge, or a page cannot be read.
pub(super) fn merge(pages: &Keyspace, log: LogId, growth: &LogGrowth, budget: &mut MergeBudget) -> Option<Vec<Entry>> {
    if budget.0 == 0 {
        return None;
    }
    let mut new_pages = full_pages(&growth.chunks);
    let (new, None) = (new_pages.next()?, new_pages.next()) else { return None };
    let mut bytes: usize = new.iter().map(|chunk| chunk.bytes.len()).sum();
    let mut start = new[0].start;
    let from_last = || pages.range(page_key(log, 0)..page_key(log, start)).rev();
    let sizes: Vec<usize> = from_last().take(CONSIDERED).map_while(|page| Some(page.size().ok()? as usize)).collect();
    let mut before: Vec<Chunk<Bytes>> = Vec::new();
    for found in from_last().take(count_to_absorb(bytes, &sizes)) {
        let (key, page) = found.into_inner().ok()?;
        let Page::Records(page) = parse_page(page_start(&key)?, &page.into())? else { break };
        bytes += page.bytes.len();
        if page.end() != start || bytes > CHUNK_BYTES {
            break;
        }
        start = page.start;
        before.push(page);
    }
    let (first, others) = before.split_last()?;
    budget.0 = budget.0.saturating_sub(bytes);
    let others = others.iter().rev().map(|page| (page_key(log, page.start), None));
    let all: Vec<Chunk<Bytes>> = before.iter().rev().chain(new).cloned().collect();
    let merged = (page_key(log, first.start), Some(encode_records(&all).into()));
    Some(std::iter::once(merged).chain(others).collect())
}

/// Returns the number of pages to absorb, given their sizes from the last page to the first.
fn count_to_absorb(new_bytes: usize, sizes: &[usize]) -> usize {
    // The last pages are small and were not merged before, except those that an earlier process left.
    let (mut count, mut bytes, mut size_max) = (0, new_bytes, SMALL_BYTES);
    loop {
        let (mut more, mut more_bytes, mut is_full) = (0, 0, false);
        for size in sizes[count..].iter().take(ABSORBED).take_while(|size| **size <= size_max) {
            is_full = bytes + more_bytes + size > CHUNK_BYTES;
            if is_full {
                break;
            }
            more += 1;
            more_bytes += size;
        }
        if count > 0 && more < ABSORBED && !is_full {
            return count;
        }
        count += more;
        bytes += more_bytes;
        if more < ABSORBED {
            return count;
        }
        size_max = 2 * bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_pages_become_one_and_eight_of_those_too() {
        let small = [100; 7];
        assert_eq!(count_to_absorb(100, &small), 7);
        assert_eq!(count_to_absorb(100, &small[..3]), 3, "there are no more");
        let larger = |count: usize| [&small[..], &vec![800; count][..], &[6400; 7]].concat();
        assert_eq!(count_to_absorb(100, &larger(6)), 7, "one is missing");
        assert_eq!(count_to_absorb(100, &larger(7)), 21);
    }

    #[test]
    fn a_merged_page_does_not_exceed_the_size_of_a_page() {
        let full = [&[1000; 7][..], &[8500; 7]].concat();
        assert_eq!(count_to_absorb(1000, &full), 13, "the last one does not fit");
        assert_eq!(count_to_absorb(SMALL_BYTES, &[SMALL_BYTES; 7]), 1);
        assert_eq!(count_to_absorb(100, &[SMALL_BYTES + 1; 7]), 0);
        assert_eq!(count_to_absorb(10, &[]), 0);
    }
}
