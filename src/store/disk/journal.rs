//! Looks through fjall's journal before fjall does.
//!
//! At a structure it does not understand, fjall cuts the journal off, whatever is behind it; at a wrong checksum, it does
//! not open at all. Both are wrong for somebody: a flipped bit must not take everything away that was written after it,
//! and a commit that the power cut short, and nobody got an answer to, is no reason to stay down. So what is torn at the
//! end is cut off here, and what is damaged in the middle is cut out, with a copy of the whole kept for whoever wants to
//! look. This goes as soon as fjall tells the two apart itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

/// What the end of a batch ends with.
const MAGIC: &[u8; 4] = b"FJL\x03";

/// The tags of fjall's journal, version 3.
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;

/// Bytes of a tag, a type, a compression, a keyspace, and three lengths.
const ITEM_HEAD: usize = 1 + 1 + 1 + 8 + 2 + 4 + 4;

/// What was found, and mended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Checked {
    /// Bytes that were cut out of the middle, each with the file that has them.
    pub(super) damaged: Vec<(PathBuf, Range<usize>)>,
    /// Whether the last commit was cut short.
    pub(super) torn: bool,
    /// The damaged bytes themselves.
    pub(super) cut_out: Vec<Vec<u8>>,
    /// What there was of the last commit.
    pub(super) cut_off: Vec<u8>,
}

/// Looks through all journals in a folder, the oldest first, and mends them. Errors: what the disk says.
pub(super) fn check(dir: &Path) -> io::Result<Checked> {
    let mut checked = Checked::default();
    let mut journals = journals_in(dir)?;
    journals.sort_unstable();
    for (_, path) in journals {
        let mut bytes = fs::read(&path)?;
        bytes.truncate(written_bytes(&bytes));
        let whole = batches(&bytes);
        let last = whole.last().map_or(0, |batch| batch.bytes.end);
        if last < bytes.len() {
            checked.torn = true;
            checked.cut_off = bytes[last..].to_vec();
            let file = OpenOptions::new().write(true).open(&path)?;
            file.set_len(last as u64)?;
            file.sync_all()?;
        }
        let damaged = gaps_between(&whole);
        if !damaged.is_empty() {
            cut_out(dir, &path, &bytes, &whole)?;
            checked.cut_out.extend(damaged.iter().map(|gap| bytes[gap.clone()].to_vec()));
            checked.damaged.extend(damaged.into_iter().map(|gap| (path.clone(), gap)));
        }
    }
    Ok(checked)
}

/// How far a journal is filled: fjall makes it longer than it needs, with zeros, and no batch ends with one.
fn written_bytes(journal: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut end = journal.len();
    while end >= ZEROS.len() && journal[end - ZEROS.len()..end] == ZEROS {
        end -= ZEROS.len();
    }
    journal[..end].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// The journals in a folder, by their numbers.
pub(super) fn journals_in(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut journals = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse().ok());
        journals.extend(number.map(|number: u64| (number, path)));
    }
    Ok(journals)
}

/// A batch that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Batch {
    bytes: Range<usize>,
    seqno: u64,
}

/// All batches that are whole, also those behind what is not.
fn batches(journal: &[u8]) -> Vec<Batch> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < journal.len() {
        let Some((length, seqno)) = batch_at(&journal[at..]) else {
            // Nothing begins here. A batch begins with the byte 1.
            let next = journal[at + 1..].iter().position(|byte| *byte == START);
            at = next.map_or(journal.len(), |next| at + 1 + next);
            continue;
        };
        found.push(Batch { bytes: at..at + length, seqno });
        at += length;
    }
    in_order(found)
}

/// Without those whose number is not between those of their neighbours: no checksum covers the number, and fjall would
/// take the batch for an older or a newer one.
fn in_order(batches: Vec<Batch>) -> Vec<Batch> {
    let following: Vec<Option<u64>> = batches.iter().skip(1).map(|batch| Some(batch.seqno)).chain([None]).collect();
    let (mut ordered, mut last) = (Vec::with_capacity(batches.len()), None);
    for (batch, next) in batches.into_iter().zip(following) {
        let after_last = |seqno: u64| last.is_none_or(|last| seqno > last);
        let raised = next.is_some_and(|next| next <= batch.seqno && after_last(next));
        if after_last(batch.seqno) && !raised {
            last = Some(batch.seqno);
            ordered.push(batch);
        }
    }
    ordered
}

fn gaps_between(batches: &[Batch]) -> Vec<Range<usize>> {
    let starts = batches.iter().map(|batch| batch.bytes.start);
    let ends = std::iter::once(0).chain(batches.iter().map(|batch| batch.bytes.end));
    ends.zip(starts).filter(|(end, start)| end < start).map(|(end, start)| end..start).collect()
}

/// Length and number of the batch that begins here; `None` if none does, or it is not whole.
fn batch_at(bytes: &[u8]) -> Option<(usize, u64)> {
    let mut rest = bytes;
    let [START] = take(&mut rest)? else { return None };
    let count = u32::from_le_bytes(take(&mut rest)?);
    let seqno = u64::from_le_bytes(take(&mut rest)?);
    let mut checksum = Xxh3::new();
    for _ in 0..count {
        let length = entry_length(rest)?;
        let (entry, behind) = rest.split_at_checked(length)?;
        checksum.update(entry);
        rest = behind;
    }
    let [END] = take(&mut rest)? else { return None };
    let fits = u64::from_le_bytes(take(&mut rest)?) == checksum.digest() && take(&mut rest)? == *MAGIC;
    fits.then(|| (bytes.len() - rest.len(), seqno))
}

/// Key and value of the item that begins here, and what is behind it; `None` if none does.
pub(super) fn item_at(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<ITEM_HEAD>()?;
    // Nothing is compressed, so both lengths of the value are the same; there are only a few keyspaces.
    let [ITEM, _, 0, keyspaces @ ..] = head else { return None };
    if keyspaces[1..8] != [0; 7] || head[13..17] != head[17..21] {
        return None;
    }
    let (key, rest) = rest.split_at_checked(u16::from_le_bytes(*head[11..].first_chunk()?) as usize)?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*head[13..].first_chunk()?) as usize)?;
    Some((key, value, rest))
}

fn entry_length(bytes: &[u8]) -> Option<usize> {
    match *bytes.first()? {
        ITEM => {
            let key = u16::from_le_bytes(*bytes.get(11..)?.first_chunk()?);
            let value = u32::from_le_bytes(*bytes.get(17..)?.first_chunk()?);
            Some(ITEM_HEAD + key as usize + value as usize)
        }
        CLEAR => Some(9),
        _ => None,
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*taken)
}

/// Puts the whole batches in the place of the journal, which stays beside it under another name.
fn cut_out(dir: &Path, path: &Path, bytes: &[u8], whole: &[Batch]) -> io::Result<()> {
    let kept = (0..).map(|number| path.with_extension(format!("damaged{number}"))).find(|kept| !kept.exists());
    fs::hard_link(path, kept.expect("some number is free"))?;
    let mended = path.with_extension("mended");
    let mut file = File::create(&mended)?;
    for batch in whole {
        file.write_all(&bytes[batch.bytes.clone()])?;
    }
    file.sync_all()?;
    fs::rename(&mended, path)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use fjall::{Database, KeyspaceCreateOptions, PersistMode};
    use proptest::prelude::*;

    use super::*;

    /// Writes batches, and gives the journal and where each of them ends.
    fn written(dir: &Path, values: &[&[u8]]) -> (PathBuf, Vec<Range<usize>>) {
        let database = Database::builder(dir).open().unwrap();
        let keyspace = database.keyspace("k", KeyspaceCreateOptions::default).unwrap();
        for (number, value) in values.iter().enumerate() {
            let mut batch = database.batch().durability(Some(PersistMode::SyncData));
            batch.insert(&keyspace, [number as u8], *value);
            batch.insert(&keyspace, [number as u8, 1], *value);
            batch.commit().unwrap();
        }
        drop((keyspace, database));
        let path = dir.join("0.jnl");
        let bytes = fs::read(&path).unwrap();
        let found = batches(&bytes[..written_bytes(&bytes)]);
        // Some of the zeros are enough.
        let end = found.last().unwrap().bytes.end as u64;
        OpenOptions::new().write(true).open(&path).unwrap().set_len(end + 5000).unwrap();
        (path, found.into_iter().map(|batch| batch.bytes).collect())
    }

    /// The numbers of the batches that a database opens with.
    fn kept(dir: &Path) -> Vec<u8> {
        let database = Database::builder(dir).open().unwrap();
        let keyspace = database.keyspace("k", KeyspaceCreateOptions::default).unwrap();
        let keys = keyspace.iter().map(|found| found.key().unwrap().to_vec());
        keys.filter(|key| key.len() == 1).map(|key| key[0]).collect()
    }

    fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }

    const VALUES: [&[u8]; 4] = [b"one", b"two \x01\x01\x01", b"three", b"four"];

    #[test]
    fn a_sound_journal_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, found) = written(dir.path(), &VALUES);
        assert_eq!(found.len(), 4);
        let before = fs::read(&path).unwrap();
        let checked = check(dir.path()).unwrap();
        assert!(checked.damaged.is_empty() && !checked.torn, "{checked:?}");
        assert!(fs::read(&path).unwrap() == before);
        assert_eq!(check(&dir.path().join("nowhere")).unwrap(), Checked::default());
    }

    #[test]
    fn a_batch_that_was_cut_short_is_cut_off() {
        for zeroed in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let (path, found) = written(dir.path(), &VALUES);
            damage(&path, |bytes| match zeroed {
                // The system wrote the last page and not the one before.
                true => bytes[found[3].start + 20..found[3].end - 20].fill(0),
                false => bytes.truncate(found[3].end - 3),
            });
            let checked = check(dir.path()).unwrap();
            assert!(checked.torn && checked.damaged.is_empty(), "{checked:?}");
            assert_eq!(kept(dir.path()), [0, 1, 2]);
        }
    }

    #[test]
    fn a_folder_is_checked_again_without_finding_anything_new() {
        let dir = tempfile::tempdir().unwrap();
        let (path, found) = written(dir.path(), &VALUES);
        damage(&path, |bytes| bytes[found[1].start + 4] ^= 1);
        assert_eq!(check(dir.path()).unwrap().damaged.len(), 1);
        let again = check(dir.path()).unwrap();
        assert!(again.damaged.is_empty() && !again.torn, "{again:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_flipped_bit_costs_the_batch_it_is_in(batch in 0_usize..3, at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let dir = tempfile::tempdir().unwrap();
            let (path, found) = written(dir.path(), &VALUES);
            let range = found[batch].clone();
            // A number that still is between its neighbours' changes nothing, and numbers here have no room between them.
            let offset = at.index(range.len());
            prop_assume!(batch > 0 || !(5..13).contains(&offset));
            let mut unclear = false;
            damage(&path, |bytes| {
                bytes[range.start + offset] ^= 1 << bit;
                let number = |batch: usize| {
                    let at = found[batch].start + 5;
                    u64::from_le_bytes(*bytes[at..].first_chunk().unwrap())
                };
                unclear = batch > 0 && number(batch) == number(batch - 1) || batch == 1 && number(1) < number(0);
            });
            // Of two batches with one number, or the first two the wrong way round, nobody can tell which number is wrong.
            prop_assume!(!unclear);
            let checked = check(dir.path()).unwrap();
            prop_assert_eq!(checked.damaged, [(path.clone(), range)]);
            let expected: Vec<u8> = (0..4).filter(|number| *number as usize != batch).collect();
            prop_assert_eq!(kept(dir.path()), expected);
            prop_assert!(path.with_extension("damaged0").exists());
        }

        #[test]
        fn garbage_is_no_batch_and_no_panic(bytes in prop::collection::vec(0..5_u8, 0..200)) {
            prop_assert!(batches(&bytes).is_empty());
        }
    }
}
