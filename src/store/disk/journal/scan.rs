//! What a segment holds: frames one behind the other, up to where they end, and perhaps damage between them. Pure.

use std::ops::Range;

use super::frame::{HEAD, MARK, Sound, head_at, sound};

/// A commit that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) commit: u64,
    pub(super) body: Range<usize>,
}

/// Bytes that are no frame, although there was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) bytes: Range<usize>,
    /// The number of the commit and the body, if that much is known.
    pub(super) commit: Option<u64>,
    pub(super) body: Option<Range<usize>>,
    /// Whether the body is sound but for large records.
    pub(super) in_parts: bool,
    /// How many frames there are before.
    pub(super) behind: usize,
}

/// What there is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) found: Vec<Found>,
    pub(super) damage: Vec<Damage>,
}

/// Looks through a segment. What is behind the last frame is none of it: zeros, or what an earlier segment has left.
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
                match sound(&head, &segment[body.clone()], salt) {
                    Sound::Whole => scan.found.push(Found { commit, body }),
                    part => {
                        let (commit, in_parts) = (Some(commit), part == Sound::InParts);
                        scan.damage.push(Damage { bytes, commit, body: Some(body), in_parts, behind });
                    }
                }
            }
            found => {
                let next = next_head(segment, at + 1, salt);
                // A head that stands at the end of what was written, and the rest of its frame does not.
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

    /// Four commits and where each is; behind them zeros, or what an earlier segment has left.
    fn segment(earlier: bool) -> (Vec<u8>, Vec<Range<usize>>) {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        // One of them holds what would be a frame elsewhere, and half a mark.
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
    fn a_sound_segment_ends_behind_its_last_frame() {
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
            let told: Vec<_> = scan.damage.iter().map(|damage| (damage.bytes.clone(), damage.behind)).collect();
            // Nothing tells the last one from what was there before if its head is gone.
            if frame < 3 || offset >= HEAD {
                prop_assert_eq!(told, [(ranges[frame].clone(), frame)]);
            } else if offset < HEAD - 8 {
                prop_assert!(told.is_empty());
            }
            prop_assert!(scan.damage.iter().all(|damage| damage.body.is_none() || offset >= HEAD - 8));
        }

        #[test]
        fn garbage_is_no_frame_and_no_panic(bytes in prop::collection::vec(0..5_u8, 0..200)) {
            prop_assert_eq!(scan(&bytes, SALT), Scan::default());
        }
    }
}
