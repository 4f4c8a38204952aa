//! Records as bytes: a page of one log, and the part of a commit that went to the tail. Pure.
//!
//! A page is a version, the count of its records, the length of each, and their bytes. Numbers are LEB128. What stands on
//! the disk has fjall's checksums around it, so a page that does not read is a defect of ours, or of a later version.

use bytes::{BufMut, Bytes};

use crate::store::batch::LogId;
use crate::store::chunk::Chunk;

/// What a page begins with.
const VERSION: u8 = 1;

/// Something that happened to a log in a commit.
#[derive(Debug, Clone)]
pub(super) enum TailEntry {
    /// It got these records.
    Appended { log: LogId, records: Chunk<Bytes> },
    /// It was dropped.
    Dropped { log: LogId },
}

/// Writes the records of both chunks, the second of which follows the first, as one page.
pub(super) fn page_of(first: Option<&Chunk<Vec<u8>>>, second: &Chunk<Vec<u8>>) -> Vec<u8> {
    let chunks = || first.into_iter().chain([second]);
    let bytes: usize = chunks().map(|chunk| chunk.bytes.len()).sum();
    let count: usize = chunks().map(|chunk| chunk.ends.len()).sum();
    let mut page = Vec::with_capacity(bytes + 2 * count + 16);
    page.put_u8(VERSION);
    put_number(&mut page, count as u64);
    chunks().flat_map(Chunk::lengths).for_each(|length| put_number(&mut page, u64::from(length)));
    chunks().for_each(|chunk| page.put_slice(&chunk.bytes));
    page
}

/// Reads a page that begins at this position of its log; `None` for what is none.
pub(super) fn read_page(start: u64, page: &Bytes) -> Option<Chunk<Bytes>> {
    let mut rest = &page[..];
    if take(&mut rest, 1)? != [VERSION] {
        return None;
    }
    let ends = read_ends(&mut rest)?;
    let whole = ends.last().copied().unwrap_or(0) as usize == rest.len();
    whole.then(|| Chunk { start, bytes: page.slice_ref(rest), ends })
}

/// Adds the records of a chunk to the tail's part of a commit.
pub(super) fn put_appended(out: &mut Vec<u8>, log: LogId, chunk: &Chunk<Vec<u8>>) {
    out.put_u8(b'a');
    put_number(out, log.0);
    put_number(out, chunk.start);
    put_number(out, chunk.ends.len() as u64);
    chunk.lengths().for_each(|length| put_number(out, u64::from(length)));
    out.put_slice(&chunk.bytes);
}

/// Adds that a log was dropped.
pub(super) fn put_dropped(out: &mut Vec<u8>, log: LogId) {
    out.put_u8(b'd');
    put_number(out, log.0);
}

/// Reads the tail's part of a commit; `None` for what is none.
pub(super) fn read_tail(tail: &Bytes) -> Option<Vec<TailEntry>> {
    let (mut rest, mut entries) = (&tail[..], Vec::new());
    while let Some(kind) = take(&mut rest, 1) {
        let log = LogId(take_number(&mut rest)?);
        match kind {
            b"d" => entries.push(TailEntry::Dropped { log }),
            b"a" => {
                let start = take_number(&mut rest)?;
                let ends = read_ends(&mut rest)?;
                let bytes = take(&mut rest, ends.last().copied().unwrap_or(0) as usize)?;
                let records = Chunk { start, bytes: tail.slice_ref(bytes), ends };
                entries.push(TailEntry::Appended { log, records });
            }
            _ => return None,
        }
    }
    Some(entries)
}

fn read_ends(rest: &mut &[u8]) -> Option<Vec<u32>> {
    let count = usize::try_from(take_number(rest)?).ok()?;
    // Each record has a byte at the least, and its length has one.
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

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = *take(rest, 1)? else { return None };
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunk(start: u64, records: &[Vec<u8>]) -> Chunk<Vec<u8>> {
        let mut chunk = Chunk::starting_at(start);
        records.iter().for_each(|record| chunk.push(record));
        chunk
    }

    fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..20)
    }

    proptest! {
        #[test]
        fn a_page_is_read_back_and_a_truncated_one_is_not(first in records(), second in records(), start in 0..u64::MAX / 2) {
            let one = chunk(start, &first);
            let other = chunk(one.end(), &second);
            let page = Bytes::from(page_of(Some(&one), &other));
            let read = read_page(start, &page).unwrap();
            let whole = chunk(start, &[first, second].concat());
            prop_assert_eq!((read.start, &read.bytes[..], &read.ends), (start, &whole.bytes[..], &whole.ends));
            prop_assert!(read_page(start, &page.slice(..page.len() - 1)).is_none());
        }

        #[test]
        fn a_tail_is_read_back_and_a_truncated_one_is_not(parts in prop::collection::vec((any::<u64>(), 0..u64::MAX / 2, records()), 1..5)) {
            let mut tail = Vec::new();
            for (log, start, records) in &parts {
                put_appended(&mut tail, LogId(*log), &chunk(*start, records));
                put_dropped(&mut tail, LogId(*log));
            }
            let tail = Bytes::from(tail);
            let read = read_tail(&tail).unwrap();
            prop_assert_eq!(read.len(), parts.len() * 2);
            for (entries, (log, start, records)) in read.chunks(2).zip(&parts) {
                let [TailEntry::Appended { log: appended, records: read }, TailEntry::Dropped { log: dropped }] = entries else {
                    panic!("{entries:?}");
                };
                prop_assert_eq!((appended.0, dropped.0, read.start), (*log, *log, *start));
                prop_assert_eq!(&read.bytes[..], records.concat());
            }
            prop_assert!(read_tail(&tail.slice(..tail.len() - 1)).is_none());
        }

        #[test]
        fn garbage_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let bytes = Bytes::from(bytes);
            read_page(0, &bytes);
            read_tail(&bytes);
        }
    }
}
