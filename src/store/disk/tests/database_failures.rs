//! Failures of the database: content is refused until it works again, without a restart.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::store::disk::engine::Engine;
use crate::store::disk::store::DiskStore;
use crate::store::disk::testing::{config, open, open_flushing};
use crate::store::{Batch, Error, LogId, Store};

/// Flips a bit near the start of each table that was not damaged before.
fn damage(dir: &Path, damaged: &mut BTreeSet<PathBuf>) {
    for keyspace in fs::read_dir(dir.join("keyspaces")).unwrap() {
        let tables = fs::read_dir(keyspace.unwrap().path().join("tables")).unwrap();
        for table in tables.map(|table| table.unwrap().path()) {
            if !damaged.contains(&table) && flip(&table) {
                damaged.insert(table);
            }
        }
    }
}

/// Flips a bit of a table; returns false if the table is gone.
fn flip(table: &Path) -> bool {
    let Ok(mut bytes) = fs::read(table) else { return false };
    let Some(byte) = bytes.get_mut(40) else { return false };
    *byte ^= 1;
    fs::write(table, bytes).is_ok()
}

fn append(store: &DiskStore, number: u64) {
    let mut batch = Batch::default();
    batch.append(LogId(1), number * 8, format!("{number:08}").into());
    store.commit(batch).unwrap();
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !there() {
        assert!(Instant::now() < patience, "{what}");
        std::thread::yield_now();
    }
}

fn check(store: &DiskStore, count: u64) {
    let mut read = Vec::new();
    while read.len() < count as usize * 8 {
        read.extend(store.read(LogId(1), read.len() as u64..count * 8, 1000).unwrap().chunks.concat());
    }
    let expected: String = (0..count).map(|number| format!("{number:08}")).collect();
    assert_eq!(String::from_utf8(read).unwrap(), expected);
}

#[test]
fn a_database_whose_compaction_fails_is_opened_anew_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_flushing(dir.path());
    let (mut damaged, mut count) = (BTreeSet::new(), 0);
    append(&store, count);
    store.flush_now();
    // It compacts after every few flushes.
    wait_for("it has not failed", || {
        damage(dir.path(), &mut damaged);
        count += 1;
        append(&store, count);
        store.wait_until_flushed();
        matches!(store.reserve(1), Err(Error::FlushFailing))
    });
    assert!(damaged.iter().all(|table| flip(table)), "it has compacted a damaged table");
    wait_for("it has not recovered", || store.reserve(1).is_ok());
    for _ in 0..20 {
        count += 1;
        append(&store, count);
    }
    store.flush_now();
    check(&store, count + 1);
    drop(store);
    check(&open(dir.path()), count + 1);
}

const PAGES: &str = "keyspaces/2";

/// Opens an engine over a filled directory with an orphaned table, as a failed write leaves one.
fn engine(dir: &Path) -> Engine {
    drop({
        let store = open_flushing(dir);
        append(&store, 0);
        store.flush_now();
        store.wait_until_flushed();
        store
    });
    let engine = Engine::open(&config(dir)).unwrap();
    fs::write(dir.join(PAGES).join("tables/999"), "incomplete").unwrap();
    engine
}

fn next_commit(engine: &Engine) -> Result<u64, Error> {
    engine.database()?.next_commit()
}

#[test]
fn files_of_a_failed_write_are_removed_before_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let left = dir.path().join(PAGES).join("tables/999");
    engine.reopen_if_failed().unwrap();
    assert!(left.exists(), "nothing has failed");
    engine.database().unwrap().note_failure();
    let pinned = engine.pin();
    std::thread::scope(|scope| scope.spawn(|| engine.reopen_if_failed()).join().unwrap()).unwrap();
    assert!(left.exists(), "it works, and is pinned");
    drop(pinned);
    engine.reopen_if_failed().unwrap();
    assert!(!left.exists());
    assert_eq!(next_commit(&engine).unwrap(), 1);
}

#[test]
fn opening_a_failed_database_anew_is_retried() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    engine.database().unwrap().note_failure();
    let current = dir.path().join(PAGES).join("current");
    let version = fs::read(&current).unwrap();
    fs::write(&current, "none").unwrap();
    for _ in 0..2 {
        let refused = engine.reopen_if_failed().unwrap_err().to_string();
        assert!(refused.contains(&dir.path().display().to_string()), "{refused}");
        assert!(matches!(next_commit(&engine), Err(Error::Database { .. })));
    }
    fs::write(&current, version).unwrap();
    engine.reopen_if_failed().unwrap();
    assert_eq!(next_commit(&engine).unwrap(), 1);
}
