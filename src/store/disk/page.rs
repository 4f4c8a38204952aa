//! Encoding of pages. Pure.
//!
//! A page of records is the byte 1, the number of records, the length of each, and their bytes. A page that refers to the
//! journal is the byte 2, and the location of its only record: segment, offset, length, and a checksum of eight bytes,
//! little-endian. Numbers are LEB128. fjall has checksums of its own around pages, so a page that cannot be parsed is a bug or
//! was written by a later version.

use bytes::{BufMut, Bytes};

use super::leb128::{put_number, take, take_number};
use super::retained::RecordLocation;
use crate::store::chunk::Chunk;
use crate::store::log::CHUNK_BYTES;

/// First byte of a page, by kind.
const RECORDS: u8 = 1;
const IN_JOURNAL: u8 = 2;

/// Maximum size of a page that refers to the journal; few pages of records are as short.
pub(super) const LOCATION_BYTES_MAX: u32 = 40;

/// The content of a page.
#[derive(Debug)]
pub(super) enum Page {
    Records(Chunk<Bytes>),
    InJournal(RecordLocation),
}

/// Encodes consecutive chunks as one page of records.
pub(super) fn encode_records(chunks: &[Chunk<Bytes>]) -> Vec<u8> {
    let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
    let count: usize = chunks.iter().map(|chunk| chunk.ends.len()).sum();
    let mut page = Vec::with_capacity(bytes + 3 * count + 16);
    page.put_u8(RECORDS);
    put_number(&mut page, count as u64);
    chunks.iter().flat_map(Chunk::lengths).for_each(|length| put_number(&mut page, u64::from(length)));
    chunks.iter().for_each(|chunk| page.put_slice(&chunk.bytes));
    page
}

/// Groups chunks into pages that are as full as possible and have no gap.
pub(super) fn full_pages(chunks: &[Chunk<Bytes>]) -> impl Iterator<Item = &[Chunk<Bytes>]> {
    let mut rest = chunks;
    std::iter::from_fn(move || {
        let (mut bytes, mut end) = (0, rest.first()?.start);
        let fits = |chunk: &&Chunk<Bytes>| {
            let fits = bytes == 0 || (chunk.start == end && bytes + chunk.bytes.len() <= CHUNK_BYTES);
            bytes += chunk.bytes.len();
            end = chunk.end();
            fits
        };
        let count = rest.iter().take_while(fits).count();
        let (group, left) = rest.split_at(count);
        rest = left;
        Some(group)
    })
}

/// Encodes a page that refers to the journal.
pub(super) fn encode_location(location: &RecordLocation) -> Vec<u8> {
    let mut page = Vec::with_capacity(LOCATION_BYTES_MAX as usize);
    page.put_u8(IN_JOURNAL);
    let numbers = [location.segment, location.offset, u64::from(location.bytes)];
    numbers.iter().for_each(|number| put_number(&mut page, *number));
    page.put_u64_le(location.sum);
    page
}

/// Parses a page that begins at `start` in its log; `None` if it is malformed.
pub(super) fn parse_page(start: u64, page: &Bytes) -> Option<Page> {
    let mut rest = &page[..];
    match take(&mut rest, 1)? {
        [RECORDS] => {
            let ends = take_ends(&mut rest)?;
            let whole = ends.last().copied().unwrap_or(0) as usize == rest.len();
            whole.then(|| Page::Records(Chunk { start, bytes: page.slice_ref(rest), ends }))
        }
        [IN_JOURNAL] => {
            let (segment, offset) = (take_number(&mut rest)?, take_number(&mut rest)?);
            let bytes = u32::try_from(take_number(&mut rest)?).ok().filter(|bytes| *bytes > 0)?;
            let sum = u64::from_le_bytes(rest.try_into().ok()?);
            Some(Page::InJournal(RecordLocation { segment, offset, bytes, sum }))
        }
        _ => None,
    }
}

fn take_ends(rest: &mut &[u8]) -> Option<Vec<u32>> {
    let count = usize::try_from(take_number(rest)?).ok()?;
    // Each record takes at least one byte, and another for its length.
    if count > rest.len() {
        return None;
    }
    let (mut ends, mut end) = (Vec::with_capacity(count), 0_u32);
    for _ in 0..count {
        let length = u32::try_from(take_number(rest)?).ok().filter(|length| *length > 0)?;
        end = end.checked_add(length)?;
        ends.push(end);
    }
    Some(ends)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Puts each record into a chunk of its own.
    fn chunks(start: u64, records: &[Vec<u8>]) -> Vec<Chunk<Bytes>> {
        let mut start = start;
        let chunks = records.iter().map(|record| {
            let mut chunk = Chunk::starting_at(start);
            chunk.push(record);
            start = chunk.end();
            chunk.freeze()
        });
        chunks.collect()
    }

    fn records(longest: usize) -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..longest), 0..20)
    }

    proptest! {
        #[test]
        fn a_page_is_read_back_and_a_truncated_one_is_not(records in records(300), start in 0..u64::MAX / 2) {
            let page = Bytes::from(encode_records(&chunks(start, &records)));
            let Some(Page::Records(read)) = parse_page(start, &page) else { panic!("{page:?}") };
            let lengths: Vec<usize> = read.lengths().map(|length| length as usize).collect();
            prop_assert_eq!((read.start, &read.bytes[..]), (start, &records.concat()[..]));
            prop_assert_eq!(lengths, records.iter().map(Vec::len).collect::<Vec<_>>());
            prop_assert!(parse_page(start, &page.slice(..page.len() - 1)).is_none());
        }

        #[test]
        fn a_location_is_read_back_and_a_truncated_one_is_not(segment: u64, offset: u64, bytes in 1..u32::MAX, sum: u64) {
            let location = RecordLocation { segment, offset, bytes, sum };
            let page = Bytes::from(encode_location(&location));
            prop_assert!(page.len() <= LOCATION_BYTES_MAX as usize);
            prop_assert!(matches!(parse_page(0, &page), Some(Page::InJournal(read)) if read == location));
            prop_assert!(parse_page(0, &page.slice(..page.len() - 1)).is_none());
        }

        #[test]
        fn chunks_are_grouped_as_far_as_they_fit(records in records(40_000), gap in 0_usize..20) {
            let mut chunks = chunks(0, &records);
            chunks.iter_mut().skip(gap).for_each(|chunk| chunk.start += 1);
            let groups: Vec<_> = full_pages(&chunks).collect();
            prop_assert_eq!(groups.iter().map(|group| group.len()).sum::<usize>(), chunks.len());
            let bytes = |group: &[Chunk<Bytes>]| group.iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
            prop_assert!(groups.iter().all(|group| group.len() == 1 || bytes(group) <= CHUNK_BYTES));
            for pair in groups.windows(2) {
                let full = bytes(pair[0]) + pair[1][0].bytes.len() > CHUNK_BYTES;
                prop_assert!(full || pair[0].last().unwrap().end() != pair[1][0].start);
            }
        }

        #[test]
        fn garbage_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            parse_page(0, &Bytes::from(bytes));
        }
    }
}
