//! Flipped bits in the database's files: reported, and never served as data.

use std::fs;
use std::path::{Path, PathBuf};

use crate::store::disk::store::DiskStore;
use crate::store::disk::testing::{config, open_flushing};
use crate::store::{Batch, Error, LogId, Owner, Store, Table};

const TABLE: Table = Owner::Streams.table("things");
const KEYS: u64 = 200;

/// Two logs with the size of their records: pages inside the tables, and pages large enough for blob files.
const LOGS: [(LogId, usize); 2] = [(LogId(1), 100), (LogId(2), 6000)];
const RECORDS: u64 = 40;

/// Offsets tried in each file.
const FLIPS_PER_FILE: usize = 6;

fn record(number: u64, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|byte| (number as usize * 7 + byte) as u8).collect()
}

fn entry(key: u64) -> (String, String) {
    (format!("key-{key:04}"), format!("value {key}"))
}

/// Fills a store with keys, small pages and large pages, and closes it.
fn fill(dir: &Path) {
    let store = open_flushing(dir);
    for number in 0..RECORDS {
        let mut batch = Batch::default();
        for (log, bytes) in LOGS {
            batch.append(log, number * bytes as u64, record(number, bytes).into());
        }
        for (key, value) in (0..KEYS).filter(|key| key % RECORDS == number).map(entry) {
            batch.put(TABLE, key.into(), value.into());
        }
        store.commit(batch).unwrap();
    }
    store.flush_now();
    store.wait_until_flushed();
}

/// Checks that whatever the store returns is what was written.
fn check_content(store: &DiskStore, what: &str) {
    for (log, bytes) in LOGS {
        for number in 0..RECORDS {
            let start = number * bytes as u64;
            match store.read(log, start..start + bytes as u64, 1) {
                Ok(run) => assert!(run.chunks.concat() == record(number, bytes), "{what}: record {number} of {log:?}"),
                Err(Error::Damaged { .. } | Error::NoRecord { .. } | Error::Database { .. }) => {}
                Err(error) => panic!("{what}: {error}"),
            }
        }
    }
    for (key, value) in (0..KEYS).map(entry) {
        if let Ok(found) = store.get(TABLE, key.as_bytes()) {
            assert_eq!(found.as_deref(), Some(value.as_bytes()), "{what}: {key}");
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn duplicate(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for file in files(from) {
        let copy = to.path().join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
    to
}

#[test]
fn a_flipped_bit_in_a_file_of_the_database_is_reported_or_harmless_and_never_served() {
    let intact = tempfile::tempdir().unwrap();
    fill(intact.path());
    let (mut opened, mut refused) = (0, 0);
    for file in files(&intact.path().join("keyspaces")) {
        let bytes = fs::read(&file).unwrap();
        for number in 0..FLIPS_PER_FILE {
            let at = (bytes.len() * number + number) / FLIPS_PER_FILE;
            let dir = duplicate(intact.path());
            let file = dir.path().join(file.strip_prefix(intact.path()).unwrap());
            let mut damaged = bytes.clone();
            let Some(byte) = damaged.get_mut(at) else { continue };
            *byte ^= 1 << (at % 8);
            fs::write(&file, damaged).unwrap();
            let what = format!("byte {at} of {}", file.display());
            match DiskStore::open(&config(dir.path())) {
                Ok(store) => {
                    opened += 1;
                    check_content(&store, &what);
                }
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().contains(&dir.path().display().to_string()), "{what}: {error}");
                }
            }
        }
    }
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused");
}
