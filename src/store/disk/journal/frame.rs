//! Encoding of one commit in the journal: a frame. Pure.
//!
//! A frame is a head and a body. The head has a mark, the number of the commit, the length of the body, a checksum of those,
//! and a checksum of everything. Both are xxh3 with the salt of the segment as seed, so that neither an old frame in a reused
//! file nor bytes in a record are taken for a frame. The body has the commit's changes in order, each a letter and its parts;
//! numbers are LEB128, lengths and checksums of fixed size are little-endian. A large record is preceded by its own checksum,
//! which the body's checksum covers instead of the record: it was computed when the record was received.

use bytes::{BufMut, Bytes};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use crate::store::batch::LogId;
use crate::store::disk::leb128::{put_number, take, take_number};
use crate::store::disk::retained::RecordLocation;
use crate::store::record::{Record, sum_of};

/// First bytes of a frame.
pub(super) const MARK: [u8; 4] = *b"xrf1";

/// Size of the head: mark, number, length, two checksums.
pub(super) const HEAD: usize = 4 + 8 + 8 + 4 + 8;

/// The part of the head that the first checksum covers, and the offset of the second one.
const HEAD_COVERED: usize = 4 + 8 + 8;
const BODY_SUM: usize = HEAD - 8;

/// One change, as it is written. Keys include their table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::disk) enum Change {
    Append { log: LogId, start: u64, record: Record },
    Drop { log: LogId },
    Put { key: Bytes, value: Bytes },
    Remove { key: Bytes },
}

/// A frame to be written; its buffer is reused for the next one.
#[derive(Debug, Default)]
pub(super) struct Frame {
    bytes: Vec<u8>,
    /// Large records, each with its offset in `bytes` and its checksum.
    large: Vec<(usize, u64, Bytes)>,
    length: u64,
}

impl Frame {
    /// Encodes a commit.
    pub(super) fn fill(&mut self, changes: &[Change], commit: u64, salt: u64) {
        self.bytes.clear();
        self.large.clear();
        self.bytes.resize(HEAD, 0);
        changes.iter().for_each(|change| self.put(change));
        let large: usize = self.large.iter().map(|(_, _, record)| record.len()).sum();
        self.length = (self.bytes.len() + large) as u64;
        let head = head_of(commit, self.length - HEAD as u64, salt);
        self.bytes[..head.len()].copy_from_slice(&head);
        let mut sum = Xxh3::with_seed(salt);
        sum.update(&head);
        sum.update(&self.bytes[HEAD..]);
        self.bytes[BODY_SUM..HEAD].copy_from_slice(&sum.digest().to_le_bytes());
    }

    fn put(&mut self, change: &Change) {
        let bytes = &mut self.bytes;
        match change {
            Change::Append { log, start, record } => {
                let sum = record.sum();
                bytes.put_u8(if sum.is_some() { b'l' } else { b'a' });
                put_number(bytes, log.0);
                put_number(bytes, *start);
                put_number(bytes, record.len() as u64);
                match sum {
                    Some(sum) => {
                        bytes.put_u64_le(sum);
                        self.large.push((bytes.len(), sum, record.bytes().clone()));
                    }
                    None => bytes.put_slice(record),
                }
            }
            Change::Drop { log } => {
                bytes.put_u8(b'd');
                put_number(bytes, log.0);
            }
            Change::Put { key, value } => {
                bytes.put_u8(b'p');
                put_bytes(bytes, key);
                put_bytes(bytes, value);
            }
            Change::Remove { key } => {
                bytes.put_u8(b'r');
                put_bytes(bytes, key);
            }
        }
    }

    /// Returns the size.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the bytes in consecutive pieces. The first one holds the head.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.large.iter().map(|(at, _, record)| (*at, Some(&record[..])));
        let mut begins = 0;
        ends.chain([(self.bytes.len(), None)]).flat_map(move |(at, record)| {
            let small = &self.bytes[begins..at];
            begins = at;
            std::iter::once(small).chain(record)
        })
    }

    /// Returns the locations of its large records in order, if it begins at `begins` in a segment.
    pub(super) fn large(&self, segment: u64, begins: u64) -> impl Iterator<Item = RecordLocation> {
        let mut before = begins;
        self.large.iter().map(move |(at, sum, record)| {
            let bytes = u32::try_from(record.len()).expect("a record has less than 4 GiB");
            let offset = before + *at as u64;
            before += u64::from(bytes);
            RecordLocation { segment, offset, bytes, sum: *sum }
        })
    }

    /// Releases the content after it was written.
    pub(super) fn clear(&mut self) {
        /// Maximum size of the buffer that is kept for the next frame.
        const REUSED_BYTES_MAX: usize = 1024 * 1024;
        self.large.clear();
        self.bytes.clear();
        self.bytes.shrink_to(REUSED_BYTES_MAX);
    }
}

fn head_of(commit: u64, body_bytes: u64, salt: u64) -> [u8; BODY_SUM] {
    let mut head = [0; BODY_SUM];
    head[..4].copy_from_slice(&MARK);
    head[4..12].copy_from_slice(&commit.to_le_bytes());
    head[12..20].copy_from_slice(&body_bytes.to_le_bytes());
    let sum = xxh3_64_with_seed(&head[..HEAD_COVERED], salt) as u32;
    head[HEAD_COVERED..].copy_from_slice(&sum.to_le_bytes());
    head
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) commit: u64,
    pub(super) body_bytes: usize,
    sum: u64,
}

/// Returns the head at the start of `bytes`; `None` if there is none.
pub(super) fn head_at(bytes: &[u8], salt: u64) -> Option<Head> {
    let head = bytes.first_chunk::<HEAD>().filter(|head| head.starts_with(&MARK))?;
    let number = |from: usize| head[from..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let (commit, body_bytes, sum) = (number(4)?, number(12)?, number(BODY_SUM)?);
    let fits = head_of(commit, body_bytes, salt) == head[..BODY_SUM];
    fits.then_some(Head { commit, body_bytes: usize::try_from(body_bytes).ok()?, sum })
}

/// The result of checking the checksums of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Integrity {
    Intact,
    /// Intact except for large records.
    InParts,
    Damaged,
}

/// Checks the body of a frame.
pub(super) fn check(head: &Head, body: &[u8], salt: u64) -> Integrity {
    let mut sum = Xxh3::with_seed(salt);
    sum.update(&head_of(head.commit, head.body_bytes as u64, salt));
    let (mut rest, mut covered, mut records_match) = (body, body, true);
    while let Some(part) = part_at(&mut rest) {
        if let Part::Append { record, sum: Some(expected), .. } = part {
            records_match &= sum_of(record) == expected;
            sum.update(&covered[..covered.len() - rest.len() - record.len()]);
            covered = rest;
        }
    }
    sum.update(covered);
    match body.len() == head.body_bytes && sum.digest() == head.sum {
        true if records_match => Integrity::Intact,
        true => Integrity::InParts,
        false => Integrity::Damaged,
    }
}

/// Parses the changes of a body; returns those before the first malformed one, and true if all are well-formed.
pub(in crate::store::disk) fn changes_in(body: &Bytes) -> (Vec<Change>, bool) {
    let (mut changes, mut rest) = (Vec::new(), &body[..]);
    while !rest.is_empty() {
        match change_at(body, &mut rest) {
            Some((change, _)) => changes.push(change),
            None => return (changes, false),
        }
    }
    (changes, true)
}

/// Parses the changes of a body with damaged large records; returns each with true if it is intact.
pub(in crate::store::disk) fn changes_in_parts(body: &Bytes) -> Vec<(Change, bool)> {
    let (mut changes, mut rest) = (Vec::new(), &body[..]);
    while let Some((change, expected)) = change_at(body, &mut rest) {
        let found = match &change {
            Change::Append { record, .. } => record.sum(),
            _ => None,
        };
        changes.push((change, expected.is_none() || expected == found));
    }
    changes
}

/// One change in a body.
enum Part<'a> {
    /// `sum` is the checksum of a large record.
    Append {
        log: LogId,
        start: u64,
        record: &'a [u8],
        sum: Option<u64>,
    },
    Drop {
        log: LogId,
    },
    Put {
        key: &'a [u8],
        value: &'a [u8],
    },
    Remove {
        key: &'a [u8],
    },
}

/// Removes a change from the front of `rest`; returns it with the stored checksum of its record, if that is large.
fn change_at(body: &Bytes, rest: &mut &[u8]) -> Option<(Change, Option<u64>)> {
    let shared = |text| body.slice_ref(text);
    let change = match part_at(rest)? {
        Part::Append { log, start, record, sum } => {
            return Some((Change::Append { log, start, record: shared(record).into() }, sum));
        }
        Part::Drop { log } => Change::Drop { log },
        Part::Put { key, value } => Change::Put { key: shared(key), value: shared(value) },
        Part::Remove { key } => Change::Remove { key: shared(key) },
    };
    Some((change, None))
}

fn part_at<'a>(rest: &mut &'a [u8]) -> Option<Part<'a>> {
    Some(match take(rest, 1)? {
        kind @ (b"a" | b"l") => {
            let (log, start, length) = (LogId(take_number(rest)?), take_number(rest)?, take_length(rest)?);
            let sum = match kind {
                b"l" => Some(u64::from_le_bytes(*take(rest, 8)?.first_chunk()?)),
                _ => None,
            };
            let record = take(rest, length)?;
            start.checked_add(record.len() as u64)?;
            Part::Append { log, start, record, sum }
        }
        b"d" => Part::Drop { log: LogId(take_number(rest)?) },
        b"p" => Part::Put { key: take_bytes(rest)?, value: take_bytes(rest)? },
        b"r" => Part::Remove { key: take_bytes(rest)? },
        _ => return None,
    })
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_length(rest)?;
    take(rest, length)
}

fn take_length(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(take_number(rest)?).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::record::LARGE_BYTES;

    const SALT: u64 = 7;

    fn text(longest: usize) -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..longest).prop_map(Bytes::from)
    }

    fn change() -> impl Strategy<Value = Change> {
        let record = prop_oneof![4 => text(300), 1 => text(3 * LARGE_BYTES)];
        prop_oneof![
            (any::<u64>(), 0..u64::MAX / 2, record).prop_map(|(log, start, record)| Change::Append {
                log: LogId(log),
                start,
                record: record.into()
            }),
            any::<u64>().prop_map(|log| Change::Drop { log: LogId(log) }),
            (text(40), text(90)).prop_map(|(key, value)| Change::Put { key, value }),
            text(40).prop_map(|key| Change::Remove { key }),
        ]
    }

    pub(in super::super) fn written(changes: &[Change], commit: u64, salt: u64) -> Vec<u8> {
        let mut frame = Frame::default();
        frame.fill(changes, commit, salt);
        let bytes = frame.pieces().collect::<Vec<_>>().concat();
        assert_eq!(bytes.len() as u64, frame.length());
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_frame_round_trips(changes in prop::collection::vec(change(), 0..9), commit: u64) {
            let bytes = written(&changes, commit, SALT);
            let head = head_at(&bytes, SALT).unwrap();
            prop_assert_eq!((head.commit, head.body_bytes), (commit, bytes.len() - HEAD));
            prop_assert_eq!(check(&head, &bytes[HEAD..], SALT), Integrity::Intact);
            let mut frame = Frame::default();
            frame.fill(&changes, commit, SALT);
            let large = changes.iter().filter_map(|change| match change {
                Change::Append { record, .. } if record.is_large() => Some(record),
                _ => None,
            });
            let found: Vec<RecordLocation> = frame.large(7, 1000).collect();
            let expected = large.map(|record| (7, record.len() as u32, record.sum().unwrap()));
            prop_assert!(found.iter().map(|found| (found.segment, found.bytes, found.sum)).eq(expected));
            for location in found {
                let begins = location.offset as usize - 1000;
                prop_assert_eq!(sum_of(&bytes[begins..][..location.bytes as usize]), location.sum);
            }
            prop_assert_eq!(changes_in(&Bytes::from(bytes).slice(HEAD..)), (changes, true));
        }

        #[test]
        fn a_flipped_bit_is_noticed_and_costs_at_most_one_large_record_or_the_frame(changes in prop::collection::vec(change(), 0..9), at: prop::sample::Index, bit in 0..8_u8) {
            let mut bytes = written(&changes, 1, SALT);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            match head_at(&bytes, SALT).map(|head| check(&head, &bytes[HEAD..], SALT)) {
                None | Some(Integrity::Damaged) => drop(changes_in(&Bytes::from(bytes).slice(HEAD..))),
                Some(Integrity::Intact) => prop_assert!(false, "a flipped bit is not noticed"),
                Some(Integrity::InParts) => {
                    let found = changes_in_parts(&Bytes::from(bytes).slice(HEAD..));
                    prop_assert_eq!(found.len(), changes.len());
                    prop_assert_eq!(found.iter().filter(|(_, intact)| !intact).count(), 1);
                    prop_assert!(found.iter().zip(&changes).all(|((found, intact), change)| (found == change) == *intact));
                }
            }
        }

        #[test]
        fn a_frame_of_another_segment_is_ignored(changes in prop::collection::vec(change(), 0..9)) {
            prop_assert!(head_at(&written(&changes, 1, SALT), SALT + 1).is_none());
        }

        #[test]
        fn a_truncated_body_gives_the_changes_before_the_cut(changes in prop::collection::vec(change(), 1..9)) {
            let body = Bytes::from(written(&changes, 1, SALT)).slice(HEAD..);
            let (read, whole) = changes_in(&body.slice(..body.len() - 1));
            prop_assert!(!whole && read == changes[..changes.len() - 1]);
        }

        #[test]
        fn garbage_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..90)) {
            prop_assert!(head_at(&bytes, SALT).is_none());
            changes_in(&Bytes::from(bytes));
        }
    }
}
