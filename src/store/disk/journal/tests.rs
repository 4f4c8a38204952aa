//! Tests of the journal: writing, reading back, damage.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::segment::segments_in;
use super::writing::DAMAGED;
use super::*;
use crate::store::disk::retained::RetainedSegments;
use crate::store::error::Cause;

fn put(number: u64) -> Change {
    Change::Put { key: format!("key {number}").into(), value: "value".into() }
}

fn open(dir: &Path, next_commit: u64) -> Result<(Journal, Replay), Cause> {
    Journal::open(dir, next_commit, &RetainedSegments::expecting(std::iter::empty(), 1), true)
}

fn write(journal: &mut Journal, changes: &[Change]) {
    journal.prepare(changes);
    journal.commit().unwrap();
}

/// Opens the journal and makes `count` commits of one change each.
fn commit(dir: &Path, count: u64) -> Journal {
    let (mut journal, _) = open(dir, 0).unwrap();
    for _ in 0..count {
        let change = put(journal.next_commit());
        write(&mut journal, &[change]);
    }
    journal
}

fn changes(replay: &Replay) -> Vec<Change> {
    replay.bodies.iter().flat_map(|body| changes_in(&body.bytes).0).collect()
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Changes the segment that holds a text.
fn damage(dir: &Path, text: &str, change: impl Fn(&File, u64)) {
    for (_, path) in segments_in(dir).unwrap() {
        let bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text.as_bytes()) {
            change(&fs::OpenOptions::new().write(true).open(&path).unwrap(), at as u64);
        }
    }
}

#[test]
fn commits_of_several_processes_are_read_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    for starts in 0..4 {
        let (_, replay) = open(dir.path(), 0).unwrap();
        assert_eq!(changes(&replay), (0..3 * starts).map(put).collect::<Vec<_>>());
        assert!(!replay.has_gaps && replay.torn.is_empty() && replay.next_commit == 3 * starts);
        commit(dir.path(), 3);
    }
}

#[test]
fn starts_without_a_commit_leave_no_files_behind() {
    let dir = tempfile::tempdir().unwrap();
    drop(commit(dir.path(), 1));
    for _ in 0..5 {
        let journal = commit(dir.path(), 0);
        assert_eq!(journal.segment_count(), 2);
        assert_eq!(files(dir.path()).len(), 2);
    }
}

#[test]
fn the_number_of_a_retained_segment_is_not_reused() {
    let dir = tempfile::tempdir().unwrap();
    let retained = RetainedSegments::expecting([41].into_iter(), 1);
    drop(Journal::open(dir.path(), 0, &retained, true).unwrap());
    assert!(files(dir.path())[0].starts_with("0000000042-"), "{:?}", files(dir.path()));
}

#[test]
fn the_file_of_a_flushed_segment_is_reused() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = commit(dir.path(), 3);
    for round in 1..4 {
        let sealed = journal.rotate().unwrap();
        write(&mut journal, &[put(0)]);
        sealed.recycle(Some(journal.spare())).unwrap();
        assert_eq!((journal.segment_count(), files(dir.path()).len()), (1, 2), "round {round}");
    }
    let sealed = journal.rotate().unwrap();
    sealed.recycle(None).unwrap();
    assert_eq!(files(dir.path()).len(), 1);
    let sealed = journal.rotate().unwrap();
    sealed.recycle(Some(journal.spare())).unwrap();
    assert_eq!(files(dir.path()).len(), 2);
    journal.spare().remove();
    assert_eq!(files(dir.path()).len(), 1);
    write(&mut journal, &[put(0)]);
    journal.rotate().unwrap();
}

#[test]
fn flushed_commits_are_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(commit(dir.path(), 5));
    let (journal, replay) = open(dir.path(), 3).unwrap();
    assert_eq!((changes(&replay), replay.next_commit), (vec![put(3), put(4)], 5));
    drop(journal);
    let (journal, replay) = open(dir.path(), 7).unwrap();
    assert!(replay.bodies.is_empty() && replay.next_commit == 7 && journal.segment_count() == 1);
}

#[test]
fn a_torn_commit_at_the_end_is_discarded() {
    let dir = tempfile::tempdir().unwrap();
    drop(commit(dir.path(), 3));
    damage(dir.path(), "key 2", |file, at| file.write_all_at(&[0; 4], at).unwrap());
    let (journal, replay) = open(dir.path(), 0).unwrap();
    assert_eq!((changes(&replay), replay.next_commit, replay.torn.len()), (vec![put(0), put(1)], 2, 1));
    drop(journal);
    // The next commit gets its number and replaces it.
    drop(commit(dir.path(), 1));
    let (_, replay) = open(dir.path(), 0).unwrap();
    assert_eq!(changes(&replay), (0..3).map(put).collect::<Vec<_>>());
    assert!(!replay.has_gaps && replay.torn.is_empty() && replay.damaged.is_empty());
}

#[test]
fn damage_costs_the_commit_that_it_hits() {
    let dir = tempfile::tempdir().unwrap();
    drop(commit(dir.path(), 3));
    drop(commit(dir.path(), 3));
    // The last commit of a segment, and one in the middle of another segment.
    for text in ["key 2", "key 4"] {
        damage(dir.path(), text, |file, at| file.write_all_at(b"K", at).unwrap());
    }
    let (mut journal, replay) = open(dir.path(), 0).unwrap();
    assert_eq!(changes(&replay), [0, 1, 3, 5].map(put));
    assert!(replay.has_gaps && replay.next_commit == 6);
    let reported: Vec<Change> = replay.damaged.iter().flat_map(|body| changes_in(body).0).collect();
    let expected = ["Key 2", "Key 4"].map(|key| Change::Put { key: key.into(), value: "value".into() });
    assert_eq!(reported, expected);
    journal.rotate().unwrap().quarantine().unwrap();
    assert_eq!(files(dir.path()).iter().filter(|name| name.ends_with(DAMAGED)).count(), 3);
}
