//! Joins the small pages of a log.
//!
//! A log that grows slowly gets a small page each time it is settled, and reading it would be one look-up for each. So the
//! eighth small page takes in the seven before it. Where there are seven more of about the size that it has then, it takes
//! them in, too, and so on until it is as large as a page gets: each record is written again once for every eightfold.

use bytes::Bytes;
use fjall::Keyspace;

use super::keyspaces::{page_key, page_start};
use super::page::{Page, groups_of, page_of, read_page};
use super::unsettled::Grown;
use crate::store::batch::LogId;
use crate::store::chunk::Chunk;
use crate::store::log::CHUNK_BYTES;

/// So many pages become one.
pub(super) const JOINED: u8 = 8;

/// What a page takes in at once.
const BEFORE: usize = JOINED as usize - 1;

/// At how many pages before a new one it looks: enough for records of a few bytes.
const LOOKED_AT: usize = 5 * BEFORE;

/// A log that gets so much at once gets a page that is large enough.
pub(super) const SMALL_BYTES: usize = CHUNK_BYTES / 2;

/// A key of `pages`, and what stands there from now on.
pub(super) type Entry = ([u8; 16], Option<Bytes>);

/// How much may be written for this with one generation. Usually it is about as much as what is new, or three times that.
pub(super) struct Allowance(usize);

impl Default for Allowance {
    fn default() -> Self {
        Self(64 * 1024 * 1024)
    }
}

/// What a log has got, in one page with those before it: the page in the place of the first one, and the others taken away,
/// in their order. `None` where there is nothing to join, or what is there cannot be read.
pub(super) fn join(pages: &Keyspace, log: LogId, grown: &Grown, allowance: &mut Allowance) -> Option<Vec<Entry>> {
    if allowance.0 == 0 {
        return None;
    }
    let mut groups = groups_of(&grown.chunks);
    let (new, None) = (groups.next()?, groups.next()) else { return None };
    let mut bytes: usize = new.iter().map(|chunk| chunk.bytes.len()).sum();
    let mut start = new[0].start;
    let from_last = || pages.range(page_key(log, 0)..page_key(log, start)).rev();
    let sizes: Vec<usize> = from_last().take(LOOKED_AT).map_while(|page| Some(page.size().ok()? as usize)).collect();
    let mut before: Vec<Chunk<Bytes>> = Vec::new();
    for found in from_last().take(count_of(bytes, &sizes)) {
        let (key, page) = found.into_inner().ok()?;
        let Page::Records(page) = read_page(page_start(&key)?, &page.into())? else { break };
        bytes += page.bytes.len();
        if page.end() != start || bytes > CHUNK_BYTES {
            break;
        }
        start = page.start;
        before.push(page);
    }
    let (first, others) = before.split_last()?;
    allowance.0 = allowance.0.saturating_sub(bytes);
    let others = others.iter().rev().map(|page| (page_key(log, page.start), None));
    let all: Vec<Chunk<Bytes>> = before.iter().rev().chain(new).cloned().collect();
    let joined = (page_key(log, first.start), Some(page_of(&all).into()));
    Some(std::iter::once(joined).chain(others).collect())
}

/// How many pages are taken in, by their sizes, those from the last one to the first.
fn count_of(new_bytes: usize, sizes: &[usize]) -> usize {
    // The first ones are small, and were not joined before; but for those that an earlier process has left.
    let (mut count, mut bytes, mut size_max) = (0, new_bytes, SMALL_BYTES);
    loop {
        let (mut more, mut more_bytes, mut is_full) = (0, 0, false);
        for size in sizes[count..].iter().take(BEFORE).take_while(|size| **size <= size_max) {
            is_full = bytes + more_bytes + size > CHUNK_BYTES;
            if is_full {
                break;
            }
            more += 1;
            more_bytes += size;
        }
        if count > 0 && more < BEFORE && !is_full {
            return count;
        }
        count += more;
        bytes += more_bytes;
        if more < BEFORE {
            return count;
        }
        size_max = 2 * bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_pages_become_one_and_eight_of_those() {
        let small = [100; 7];
        assert_eq!(count_of(100, &small), 7);
        assert_eq!(count_of(100, &small[..3]), 3, "there are no more");
        let larger = |count: usize| [&small[..], &vec![800; count][..], &[6400; 7]].concat();
        assert_eq!(count_of(100, &larger(6)), 7, "not yet");
        assert_eq!(count_of(100, &larger(7)), 21);
    }

    #[test]
    fn a_page_gets_as_large_as_it_may_and_not_larger() {
        let full = [&[1000; 7][..], &[8500; 7]].concat();
        assert_eq!(count_of(1000, &full), 13, "the last one does not fit");
        assert_eq!(count_of(SMALL_BYTES, &[SMALL_BYTES; 7]), 1);
        assert_eq!(count_of(100, &[SMALL_BYTES + 1; 7]), 0);
        assert_eq!(count_of(10, &[]), 0);
    }
}
