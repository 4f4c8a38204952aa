//! Large records, which stay in retained segments of the journal.

use std::time::{Duration, Instant};

use crate::store::disk::store::DiskStore;
use crate::store::disk::testing::{disk_usage, open};
use crate::store::{Batch, Error, Gap, LogId, Owner, Store, Table};

const LONG: usize = 1_000_000;

/// Appends `times` long records to each of two logs, so that they fill a segment.
fn append_long_ones(store: &DiskStore, times: usize) {
    for number in 0..times {
        for log in [1, 2] {
            let mut batch = Batch::default();
            batch.append(LogId(log), (number * LONG) as u64, vec![number as u8 + log as u8; LONG].into());
            store.commit(batch).unwrap();
        }
    }
    store.flush_now();
}

fn check_long_ones(store: &DiskStore, log: u64, times: usize) {
    for number in 0..times {
        let run = store.read(LogId(log), (number * LONG) as u64..u64::MAX, 1).unwrap();
        assert!(run.chunks.concat() == vec![number as u8 + log as u8; LONG], "record {number} of {log}");
    }
}

#[test]
fn large_records_are_written_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    append_long_ones(&store, 12);
    let occupied = disk_usage(dir.path());
    assert!(occupied < 25 * LONG as u64, "{occupied} bytes");
    check_long_ones(&store, 1, 12);
    drop(store);
    let store = open(dir.path());
    check_long_ones(&store, 2, 12);
    assert!(store.gaps().is_empty());
}

#[test]
fn the_space_of_a_dropped_logs_large_records_is_released() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    append_long_ones(&store, 12);
    for (dropped, left) in [(1, 14), (2, 2)] {
        let mut batch = Batch::default();
        batch.drop_log(LogId(dropped));
        store.commit(batch).unwrap();
        let released = || disk_usage(dir.path()) < left * LONG as u64;
        let patience = Instant::now() + Duration::from_secs(60);
        while !released() {
            assert!(Instant::now() < patience, "{} bytes are left", disk_usage(dir.path()));
            std::thread::yield_now();
        }
        assert!(store.read(LogId(dropped), 0..1, 1).is_err());
        if dropped == 1 {
            check_long_ones(&store, 2, 12);
            drop(store);
            store = open(dir.path());
        }
    }
}

#[test]
fn a_damaged_large_record_is_reported_and_the_others_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    append_long_ones(&store, 12);
    drop(store);
    let files = std::fs::read_dir(dir.path().join("journal")).unwrap().map(|file| file.unwrap().path());
    let first = files.filter(|path| path.extension().is_some()).min().unwrap();
    let mut bytes = std::fs::read(&first).unwrap();
    bytes[LONG / 2] ^= 1;
    std::fs::write(first, bytes).unwrap();
    let store = open(dir.path());
    let refused = store.read(LogId(1), 0..LONG as u64, 1).unwrap_err();
    assert!(matches!(refused, Error::Damaged { position: 0, .. }), "{refused}");
    check_long_ones(&store, 2, 12);
    assert_eq!(store.read(LogId(1), LONG as u64..u64::MAX, 1).unwrap().end, 2 * LONG as u64);
}

/// Flips a bit in the record that consists of `byte`.
fn flip_in_record(dir: &std::path::Path, byte: u8) {
    let files = std::fs::read_dir(dir.join("journal")).unwrap().map(|file| file.unwrap().path());
    let first = files.filter(|path| path.extension().is_some()).min().unwrap();
    let mut bytes = std::fs::read(&first).unwrap();
    let record = [byte; 100];
    let at = bytes.windows(record.len()).position(|window| window == record).unwrap();
    bytes[at + 50] ^= 1;
    std::fs::write(first, bytes).unwrap();
}

#[test]
fn a_damaged_large_record_costs_nothing_else_of_its_commit() {
    const TABLE: Table = Owner::Streams.table("things");
    // In the middle of the journal, and at its end.
    for damaged in [0, 2] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for number in 0..3_u8 {
            let mut batch = Batch::default();
            for log in 0..3 {
                batch.append(LogId(log), number as u64 * LONG as u64, vec![16 * number + log as u8 + 1; LONG].into());
            }
            batch.put(TABLE, vec![number].into(), "there".into());
            store.commit(batch).unwrap();
        }
        drop(store);
        flip_in_record(dir.path(), 16 * damaged + 2);
        let from = u64::from(damaged) * LONG as u64;
        let gap = Gap { log: LogId(1), from, until: from + LONG as u64 };
        for gaps in [vec![gap], vec![]] {
            let store = open(dir.path());
            assert_eq!(store.gaps(), gaps);
            for number in 0..3_u8 {
                for log in 0..3 {
                    let start = u64::from(number) * LONG as u64;
                    let read = store.read(LogId(log), start..start + LONG as u64, 1);
                    match (number, log) == (damaged, 1) {
                        true => assert!(matches!(read, Err(Error::Damaged { .. } | Error::NoRecord { .. }))),
                        false => assert!(read.unwrap().chunks.concat() == vec![16 * number + log as u8 + 1; LONG]),
                    }
                }
                assert_eq!(store.get(TABLE, &[number]).unwrap().unwrap(), "there");
            }
        }
    }
}

#[test]
fn a_torn_commit_that_was_not_acknowledged_is_never_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for number in 0..3_u8 {
        let mut batch = Batch::default();
        batch.append(LogId(1), u64::from(number) * LONG as u64, vec![number + 1; LONG].into());
        store.commit(batch).unwrap();
    }
    drop(store);
    flip_in_record(dir.path(), 3);
    // First two commits were acknowledged; then a third one, with the number of the torn one, which is lost.
    for acknowledged in [2_u64, 3] {
        let bytes = [acknowledged.to_be_bytes(), (!acknowledged).to_be_bytes()].concat();
        std::fs::write(dir.path().join("answered"), bytes).unwrap();
        let store = open(dir.path());
        assert_eq!(store.end(LogId(1)).unwrap(), Some(2 * LONG as u64), "{acknowledged} were acknowledged");
        assert!(store.gaps().is_empty());
    }
}
