//! Scan of a segment for frames, and for damage between them. Pure.

use std::ops::Range;

use super::frame::{HEAD, Integrity, MARK, check, head_at};

/// An intact commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) commit: u64,
    pub(super) body: Range<usize>,
}

/// Bytes where there was a frame that is not intact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) bytes: Range<usize>,
    /// The number of the commit and its body, as far as they are known.
    pub(super) commit: Option<u64>,
    pub(super) body: Option<Range<usize>>,
    /// True if the body is intact except for large records.
    pub(super) in_parts: bool,
    /// Number of intact frames before it.
    pub(super) behind: usize,
}

/// The content of a segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) found: Vec<Found>,
    pub(super) damage: Vec<Damage>,
}

/// Scans a segment. What follows the last frame is ignored: zeros, or remains of an earlier segment in the same file.
pub(super) fn scan(segment: &[u8], salt: u64) -> Scan {
    let (mut scan, mut at) = (Scan::default(), 0);
    loop {
        let head = head_at(&segment[at..], salt);
        let body = at + HEAD;
        let behind = scan.found.len();
        match head.map(|head| (head, body..body.saturating_add(head.body_bytes))) {
            Some((head, body)) if body.end <= segment.len() => {
                let (bytes, commit) = (at..body.end, head.commit);
                at = body.end;
                match check(&head, &segment[body.clone()], salt) {
                    Integrity::Intact => scan.found.push(Found { commit, body }),
                    part => {
                        let (commit, in_parts) = (Some(commit), part == Integrity::InParts);
                        scan.damage.push(Damage { bytes, commit, body: Some(body), in_parts, behind });
                    }
                }
            }
            found => {
                let next = next_head(segment, at + 1, salt);
                // A head without the rest of its frame, at the end of what was written.
                let cut = found.map(|(head, body)| (head.commit, body.start..segment.len()));
                let bytes = at..next.unwrap_or(segment.len());
                if next.is_some() || cut.is_some() {
                    let (commit, body) = cut.filter(|_| next.is_none()).unzip();
                    scan.damage.push(Damage { bytes, commit, body, in_parts: false, behind });
                }
                match next {
                    Some(next) => at = next,
                    None => return scan,
                }
            }
        }
    }
}

fn next_head(segment: &[u8], from: usize, salt: u64) -> Option<usize> {
    let mut at = from;
    loop {
        at += segment.get(at..)?.iter().position(|byte| *byte == MARK[0])?;
        if head_at(&segment[at..], salt).is_some() {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::frame::tests::written;
    use super::super::frame::{Change, changes_in};
    use super::*;

    const SALT: u64 = 99;

    fn put(value: &[u8]) -> Change {
        Change::Put { key: "key".into(), value: Bytes::copy_from_slice(value) }
    }

    /// Encodes four commits and returns their ranges; zeros follow them, or frames of an earlier segment.
    fn segment(earlier: bool) -> (Vec<u8>, Vec<Range<usize>>) {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        // One record is a frame of another segment, and another one has half a mark.
        let inner = written(&[put(b"inner")], 9, SALT + 1);
        let values: [&[u8]; 4] = [b"one", &inner, b"xrf1 xrf", b"four"];
        for (number, value) in values.into_iter().enumerate() {
            let frame = written(&[put(value)], number as u64, SALT);
            ranges.push(bytes.len()..bytes.len() + frame.len());
            bytes.extend(frame);
        }
        match earlier {
            true => bytes.extend((0..9).flat_map(|commit| written(&[put(b"earlier")], commit, SALT - 1))),
            false => bytes.resize(bytes.len() + 5000, 0),
        }
        (bytes, ranges)
    }

    fn commits(scan: &Scan) -> Vec<u64> {
        scan.found.iter().map(|found| found.commit).collect()
    }

    #[test]
    fn an_intact_segment_ends_after_its_last_frame() {
        for earlier in [false, true] {
            let (bytes, _) = segment(earlier);
            let scan = scan(&bytes, SALT);
            assert_eq!(commits(&scan), [0, 1, 2, 3]);
            assert!(scan.damage.is_empty());
            let body = Bytes::from(bytes).slice(scan.found[3].body.clone());
            assert_eq!(changes_in(&body), (vec![put(b"four")], true));
        }
        assert_eq!(scan(&[], SALT), Scan::default());
    }

    #[test]
    fn a_frame_that_was_cut_short_is_damage_at_the_end() {
        let (mut bytes, ranges) = segment(false);
        let last = ranges[3].clone();
        bytes[last.start + HEAD..].fill(0);
        let zeroed = scan(&bytes, SALT);
        bytes.truncate(last.end - 3);
        let truncated = scan(&bytes, SALT);
        for scan in [zeroed, truncated] {
            assert_eq!(commits(&scan), [0, 1, 2]);
            assert!(scan.damage.len() == 1 && scan.damage[0].behind == 3, "{scan:?}");
        }
        bytes.truncate(last.start + HEAD - 1);
        assert!(scan(&bytes, SALT).damage.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_flipped_bit_costs_the_frame_it_is_in(frame in 0_usize..4, at: prop::sample::Index, bit in 0..8_u8, earlier: bool) {
            let (mut bytes, ranges) = segment(earlier);
            let offset = at.index(ranges[frame].len());
            bytes[ranges[frame].start + offset] ^= 1 << bit;
            let scan = scan(&bytes, SALT);
            let left: Vec<u64> = (0..4).filter(|commit| *commit != frame as u64).collect();
            prop_assert_eq!(commits(&scan), left);
            let reported: Vec<_> = scan.damage.iter().map(|damage| (damage.bytes.clone(), damage.behind)).collect();
            // Without its head, the last frame cannot be told from remains of an earlier segment.
            if frame < 3 || offset >= HEAD {
                prop_assert_eq!(reported, [(ranges[frame].clone(), frame)]);
            } else if offset < HEAD - 8 {
                prop_assert!(reported.is_empty());
            }
            prop_assert!(scan.damage.iter().all(|damage| damage.body.is_none() || offset >= HEAD - 8));
        }

        #[test]
        fn garbage_is_ignored_without_a_panic(bytes in prop::collection::vec(0..5_u8, 0..200)) {
            prop_assert_eq!(scan(&bytes, SALT), Scan::default());
        }
    }
}
