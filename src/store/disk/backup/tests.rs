//! Backups of stores that are written to meanwhile.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::store::disk::testing::{config, open, open_flushing};
use crate::store::{Batch, DiskStore, LogId, Owner, Store, Table};

const TABLE: Table = Owner::Streams.table("things");
const LOGS: u64 = 4;

/// Sizes of records: in pages, in blob files, and in retained segments of the journal.
const SIZES: [usize; 3] = [100, 6_000, 40_000];

fn record(log: u64, number: u64) -> Vec<u8> {
    let bytes = SIZES[(number % SIZES.len() as u64) as usize];
    vec![(log * 31 + number) as u8 | 1; bytes]
}

/// Appends one record to each log, and notes the number of records in a key.
fn commit(store: &DiskStore, ends: &mut [u64; LOGS as usize], number: u64) {
    let mut batch = Batch::default();
    for (log, end) in (0..LOGS).zip(ends) {
        let record = record(log, number);
        let start = std::mem::replace(end, *end + record.len() as u64);
        batch.append(LogId(log), start, record.into());
    }
    batch.put(TABLE, "count".into(), (number + 1).to_be_bytes().to_vec().into());
    store.commit(batch).unwrap();
}

/// Checks that a store holds the records of whole commits, at least `acknowledged`, and nothing else.
fn check(dir: &Path, acknowledged: u64) {
    let store = open(dir);
    assert_eq!(store.gaps(), [], "nothing is missing");
    let count = store.get(TABLE, b"count").unwrap().map_or(0, |count| u64::from_be_bytes((*count).try_into().unwrap()));
    assert!(count >= acknowledged, "{count} commits of {acknowledged}");
    for log in 0..LOGS {
        let mut at = 0;
        for number in 0..count {
            let expected = record(log, number);
            let end = at + expected.len() as u64;
            assert!(store.read(LogId(log), at..end, 1).unwrap().chunks.concat() == expected, "{number} of {log}");
            at = end;
        }
        assert_eq!(store.end(LogId(log)).unwrap().unwrap_or(0), at, "all or nothing of a commit");
    }
}

#[test]
fn a_backup_under_load_opens_and_holds_everything_that_was_acknowledged_before_it_began() {
    let (dir, targets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open_flushing(dir.path());
    let (acknowledged, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let _end = EndOnDrop(&stop);
        scope.spawn(|| {
            let (mut ends, mut number) = ([0; LOGS as usize], 0);
            while !stop.load(Ordering::Relaxed) {
                commit(&store, &mut ends, number);
                number += 1;
                acknowledged.store(number, Ordering::Release);
            }
        });
        for number in 0..5 {
            let before = acknowledged.load(Ordering::Acquire);
            let target = targets.path().join(number.to_string());
            let outcome = store.backup(&target).unwrap();
            assert_eq!(outcome.damaged, Vec::<PathBuf>::new());
            check(&target, before);
            // It can be written to.
            drop(open(&target));
        }
    });
}

/// Ends the writer, also when a check fails.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_backup_keeps_the_streams_that_are_deleted_while_it_is_made() {
    let (dir, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open_flushing(dir.path());
    let mut ends = [0; LOGS as usize];
    (0..20).for_each(|number| commit(&store, &mut ends, number));
    let mut dropped = false;
    let copied = store.source().copy_to(target.path(), &mut |_, _| {
        if !std::mem::replace(&mut dropped, true) {
            let mut batch = Batch::default();
            (0..LOGS).for_each(|log| batch.drop_log(LogId(log)));
            store.commit(batch).unwrap();
            store.flush_now();
        }
        Ok(())
    });
    assert!(dropped && copied.unwrap().files > 0);
    check(target.path(), 20);
}

#[test]
fn an_interrupted_backup_never_opens_and_says_so() {
    let (dir, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open_flushing(dir.path());
    let mut ends = [0; LOGS as usize];
    (0..20).for_each(|number| commit(&store, &mut ends, number));
    let mut steps = 0;
    let stopped = store.source().copy_to(target.path(), &mut |_, _| {
        steps += 1;
        if steps < 3 { Ok(()) } else { Err(BackupError::Stopped) }
    });
    assert!(matches!(stopped, Err(BackupError::Stopped)));
    let refused = DiskStore::open(&config(target.path())).err().expect("it opens").to_string();
    assert!(refused.contains("a backup that was interrupted"), "{refused}");
    let again = store.backup(target.path()).unwrap_err().to_string();
    assert!(again.contains("holds a backup that was interrupted"), "{again}");
}

#[test]
fn a_backup_overwrites_nothing_and_checks_its_space() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let refused = |target: &Path| store.backup(target).unwrap_err();
    assert!(matches!(refused(dir.path()), BackupError::Inside { .. }));
    assert!(matches!(refused(&dir.path().join("copy")), BackupError::Inside { .. }));
    assert!(matches!(refused(dir.path().parent().unwrap()), BackupError::Inside { .. }));
    let used = tempfile::tempdir().unwrap();
    fs::write(used.path().join("mine"), "mine").unwrap();
    assert!(matches!(refused(used.path()), BackupError::NotEmpty { .. }));
    let target = Target::check(&used.path().join("new"), dir.path()).unwrap();
    target.check_space(0, 0).unwrap();
    let refused = target.check_space(u64::MAX / 2, 0).unwrap_err().to_string();
    assert!(refused.contains("free bytes, the backup needs"), "{refused}");
}

/// Waits for the end of a requested backup.
fn outcome(request: &BackupRequest) -> Result<BackupOutcome, BackupError> {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < patience, "the backup does not end");
        match request.progress()? {
            BackupProgress::Done(outcome) => return Ok(outcome),
            _ => std::thread::yield_now(),
        }
    }
}

#[test]
fn a_backup_can_be_requested_through_the_folder() {
    let (dir, targets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = targets.path().join("copy");
    assert!(BackupRequest::post(dir.path(), &target).unwrap().is_none(), "no process has it open");
    let store = open_flushing(dir.path());
    let mut ends = [0; LOGS as usize];
    (0..20).for_each(|number| commit(&store, &mut ends, number));
    let request = BackupRequest::post(dir.path(), &target).unwrap().unwrap();
    assert!(matches!(BackupRequest::post(dir.path(), &target), Err(BackupError::Running { .. })));
    assert!(outcome(&request).unwrap().files > 0);
    check(&target, 20);
    drop(request);
    let request = BackupRequest::post(dir.path(), &target);
    let refused = outcome(&request.unwrap().unwrap()).unwrap_err().to_string();
    assert!(refused.contains("is not empty"), "{refused}");
    drop(store);
    let left = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!left.into_iter().any(|name| name.starts_with("backup")));
}
