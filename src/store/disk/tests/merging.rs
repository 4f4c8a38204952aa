//! Logs that grow slowly, whose small pages are merged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::store::disk::store::DiskStore;
use crate::store::disk::testing::{open, open_flushing};
use crate::store::{Batch, LogId, Store};

const LOGS: u64 = 3;
const ROUNDS: u64 = 600;
const RECORD: usize = 100;

fn record(log: u64, number: u64) -> String {
    format!("{log} {number:0>width$}", width = RECORD - 2)
}

/// Appends one record to each log at a time, and flushes it.
fn grow(store: &DiskStore, rounds: std::ops::Range<u64>) {
    for number in rounds {
        let mut batch = Batch::default();
        for log in 1..=LOGS {
            batch.append(LogId(log), number * RECORD as u64, record(log, number).into());
        }
        store.commit(batch).unwrap();
        store.flush_now();
    }
}

#[test]
fn a_log_that_grows_slowly_has_few_pages_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_flushing(dir.path());
    grow(&store, 0..ROUNDS / 2);
    drop(store);
    let store = open_flushing(dir.path());
    grow(&store, ROUNDS / 2..ROUNDS);
    let end = ROUNDS * RECORD as u64;
    for log in 1..=LOGS {
        let all = store.read(LogId(log), 0..end, usize::MAX).unwrap().chunks.concat();
        let expected: String = (0..ROUNDS).map(|number| record(log, number)).collect();
        assert!(all == expected.as_bytes());
        // The boundaries of records are unchanged.
        for number in 0..ROUNDS {
            let start = number * RECORD as u64;
            let one = store.read(LogId(log), start..end, 1).unwrap();
            assert_eq!((one.chunks.concat(), one.end), (record(log, number).into(), start + RECORD as u64));
        }
    }
    store.wait_until_flushed();
    for log in 1..=LOGS {
        // Up to seven of each of three sizes, and some more after it was opened again.
        let pages = store.page_count(LogId(log));
        assert!(pages <= 30, "log {log} has {pages} pages");
    }
}

#[test]
fn readers_miss_nothing_while_pages_are_merged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_flushing(dir.path());
    grow(&store, 0..1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for log in 1..=LOGS {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let end = store.end(LogId(log)).unwrap().unwrap();
                    let mut read = Vec::new();
                    while (read.len() as u64) < end {
                        let run = store.read(LogId(log), read.len() as u64..end, 5 * RECORD).unwrap();
                        read.extend(run.chunks.concat());
                    }
                    let expected: String = (0..end / RECORD as u64).map(|number| record(log, number)).collect();
                    assert!(read == expected.as_bytes());
                }
            });
        }
        grow(&store, 1..ROUNDS);
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_dropped_log_leaves_no_page_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    grow(&store, 0..40);
    let mut batch = Batch::default();
    batch.drop_log(LogId(2));
    store.commit(batch).unwrap();
    store.flush_now();
    let patience = Instant::now() + Duration::from_secs(60);
    while store.page_count(LogId(2)) > 0 {
        assert!(Instant::now() < patience, "{} pages are left", store.page_count(LogId(2)));
        std::thread::yield_now();
    }
    assert!(store.page_count(LogId(1)) > 0);
}

#[test]
fn a_record_in_a_retained_segment_is_in_no_other_page() {
    // At least the size of a large record, and at most that of a small page.
    const LONG: usize = 32 * 1024;
    const ROUNDS: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut position = 0;
    for length in [RECORD, LONG].into_iter().cycle().take(ROUNDS) {
        let mut batch = Batch::default();
        // Each log is at a different one of its eight small pages.
        for log in 1..=8 {
            batch.append(LogId(log), position, vec![log as u8; length].into());
        }
        store.commit(batch).unwrap();
        store.flush_now();
        position += length as u64;
    }
    store.wait_until_flushed();
    let files = || std::fs::read_dir(dir.path().join("journal")).unwrap().count();
    assert!(files() >= ROUNDS / 2, "segments with large records are retained");
    for log in 1..=8 {
        assert_eq!(store.page_count(LogId(log)), ROUNDS);
    }
    let mut batch = Batch::default();
    (1..=8).for_each(|log| batch.drop_log(LogId(log)));
    store.commit(batch).unwrap();
    store.flush_now();
    let patience = Instant::now() + Duration::from_secs(60);
    while files() > 3 {
        assert!(Instant::now() < patience, "{} files are left", files());
        std::thread::yield_now();
    }
}
