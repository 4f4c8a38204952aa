//! What a disk store does when the database below it fails, and can work again later.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::store::disk::engine::Engine;
use crate::store::disk::scratch::{config, hasty, roomy};
use crate::store::disk::store::DiskStore;
use crate::store::{Batch, Error, LogId, Store};

/// Flips a bit near the front of the files that the database merges, except those that were flipped already.
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

/// Whether it is still there.
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
fn a_database_that_fails_at_its_own_work_is_opened_anew_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = hasty(dir.path());
    let (mut damaged, mut count) = (BTreeSet::new(), 0);
    append(&store, count);
    store.settle_now();
    // It merges what was settled every few times.
    wait_for("it has not failed", || {
        damage(dir.path(), &mut damaged);
        count += 1;
        append(&store, count);
        store.wait_until_settled();
        matches!(store.reserve(1), Err(Error::Failed(_)))
    });
    assert!(damaged.iter().all(|table| flip(table)), "it has merged what cannot be read");
    wait_for("it has not recovered", || store.reserve(1).is_ok());
    for _ in 0..20 {
        count += 1;
        append(&store, count);
    }
    store.settle_now();
    check(&store, count + 1);
    drop(store);
    check(&roomy(dir.path()), count + 1);
}

const PAGES: &str = "keyspaces/2";

/// An engine with something in it, and with a file that nobody needs: a failed write has left it there.
fn engine(dir: &Path) -> Engine {
    drop({
        let store = hasty(dir);
        append(&store, 0);
        store.settle_now();
        store.wait_until_settled();
        store
    });
    let engine = Engine::open(&config(dir)).unwrap();
    fs::write(dir.join(PAGES).join("tables/999"), "half of it").unwrap();
    engine
}

fn settled(engine: &Engine) -> Result<u64, Error> {
    engine.database()?.settled()
}

#[test]
fn what_a_failed_write_has_left_is_gone_when_the_next_one_begins() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let left = dir.path().join(PAGES).join("tables/999");
    engine.reopen_if_failed().unwrap();
    assert!(left.exists(), "nothing has failed");
    engine.database().unwrap().fail();
    let pinned = engine.pin();
    std::thread::scope(|scope| scope.spawn(|| engine.reopen_if_failed()).join().unwrap()).unwrap();
    assert!(left.exists(), "it works, and somebody has it in hand");
    drop(pinned);
    engine.reopen_if_failed().unwrap();
    assert!(!left.exists());
    assert_eq!(settled(&engine).unwrap(), 1);
}

#[test]
fn a_database_that_cannot_be_opened_anew_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    engine.database().unwrap().fail();
    let current = dir.path().join(PAGES).join("current");
    let version = fs::read(&current).unwrap();
    fs::write(&current, "none").unwrap();
    for _ in 0..2 {
        let refused = engine.reopen_if_failed().unwrap_err().to_string();
        assert!(refused.contains(&dir.path().display().to_string()), "{refused}");
        assert!(matches!(settled(&engine), Err(Error::Failed(_))));
    }
    fs::write(&current, version).unwrap();
    engine.reopen_if_failed().unwrap();
    assert_eq!(settled(&engine).unwrap(), 1);
}
