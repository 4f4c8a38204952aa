//! What copies mend, and what they leave alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::folder::Copies;
use super::manifest::{List, Manifest};
use super::part::What;
use super::rounds::Rounds;
use crate::store::disk::scratch::{config, hasty};
use crate::store::disk::store::DiskStore;
use crate::store::{Batch, Error, LogId, Owner, Store, Table};

const TABLE: Table = Owner::Streams.table("things");
const KEYS: u64 = 200;

/// Its pages are too small for files of their own, or not.
const LOGS: [(LogId, usize); 2] = [(LogId(1), 100), (LogId(2), 6000)];
const RECORDS: u64 = 40;

fn record(number: u64, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|byte| (number as usize * 7 + byte) as u8).collect()
}

/// A store with keys, small pages and large ones, closed.
fn fill(dir: &Path) {
    let store = hasty(dir);
    for number in 0..RECORDS {
        let mut batch = Batch::default();
        for (log, bytes) in LOGS {
            batch.append(log, number * bytes as u64, record(number, bytes).into());
        }
        for key in (0..KEYS).filter(|key| key % RECORDS == number) {
            batch.put(TABLE, format!("key-{key:04}").into(), format!("value {key}").into());
        }
        store.commit(batch).unwrap();
    }
    store.settle_now();
    store.wait_until_settled();
}

fn check(store: &DiskStore) {
    assert_eq!(store.gaps(), []);
    for (log, bytes) in LOGS {
        let end = RECORDS * bytes as u64;
        assert_eq!(store.end(log).unwrap(), Some(end));
        let mut read = Vec::new();
        while (read.len() as u64) < end {
            read.extend(store.read(log, read.len() as u64..end, 100_000).unwrap().chunks.concat());
        }
        let expected: Vec<u8> = (0..RECORDS).flat_map(|number| record(number, bytes)).collect();
        assert!(read == expected, "log {}", log.0);
    }
    let found = store.scan(TABLE, None, 1000).unwrap();
    let expected = |key| (format!("key-{key:04}").into(), format!("value {key}").into());
    assert_eq!(found, (0..KEYS).map(expected).collect::<Vec<_>>());
}

/// A folder with a store in it, and copies of what it needs.
fn copied() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    Copies::of(dir.path()).copy_everything();
    dir
}

/// After it, the copies are of the time before.
fn write_more(dir: &Path) {
    let store = hasty(dir);
    let mut batch = Batch::default();
    batch.append(LogId(9), 0, "later".into());
    store.commit(batch).unwrap();
    store.settle_now();
}

fn files(dir: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { BTreeSet::from([path]) }).collect()
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

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1 << (at % 8);
    fs::write(file, bytes).unwrap();
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn a_list_names_the_files_that_are_there() {
    let dir = copied();
    for keyspace in Copies::of(dir.path()).keyspaces().unwrap() {
        let manifest = Manifest::read(&keyspace).unwrap();
        for (kind, listed) in [("tables", &manifest.tables), ("blobs", &manifest.blobs)] {
            let there = files(&keyspace.join(kind)).iter().map(|file| name(file).parse().unwrap()).collect();
            assert_eq!(listed.iter().map(|(number, _)| *number).collect::<BTreeSet<u64>>(), there);
        }
    }
}

/// Places in every file that the database needs, of which a flipped bit is to be mended.
fn places(dir: &Path) -> Vec<(PathBuf, usize)> {
    let copies = Copies::of(dir);
    let mut places = Vec::new();
    for keyspace in copies.keyspaces().unwrap() {
        let parts = copies.parts(&keyspace, &Manifest::read(&keyspace).unwrap());
        let current = (keyspace.join("current"), What::Whole(0));
        for (file, what) in parts.into_iter().map(|part| (part.file, part.what)).chain([current]) {
            let bytes = fs::metadata(&file).unwrap().len() as usize;
            // Values are there once, but for what is as near to the end.
            let from = if matches!(what, What::End { .. }) && bytes > 200 { bytes - 200 } else { 0 };
            places.extend((from..bytes).step_by((bytes - from) / 2).map(|at| (file.clone(), at)));
        }
    }
    places
}

#[test]
fn a_bit_that_flips_in_what_the_database_needs_costs_nothing() {
    let sound = copied();
    let folders: BTreeSet<_> =
        places(sound.path()).iter().map(|(file, _)| name(file.parent().unwrap()).to_owned()).collect();
    assert_eq!(folders, ["0", "1", "2", "blobs", "tables"].map(str::to_owned).into());
    for (file, at) in places(sound.path()) {
        let dir = duplicate(sound.path());
        let file = dir.path().join(file.strip_prefix(sound.path()).unwrap());
        flip(&file, at);
        let store = DiskStore::open(&config(dir.path()));
        check(&store.unwrap_or_else(|error| panic!("byte {at} of {}: {error}", file.display())));
    }
}

#[test]
fn a_table_that_is_cut_off_or_gone_is_there_again() {
    let sound = copied();
    let tables = files(&sound.path().join("keyspaces"));
    for table in tables.iter().filter(|file| file.parent().is_some_and(|parent| name(parent) == "tables")) {
        for left in [0, fs::metadata(table).unwrap().len() - 1, 1_000_000] {
            let dir = duplicate(sound.path());
            let table = dir.path().join(table.strip_prefix(sound.path()).unwrap());
            fs::OpenOptions::new().write(true).open(&table).unwrap().set_len(left).unwrap();
            if left == 0 {
                fs::remove_file(table).unwrap();
            }
            check(&DiskStore::open(&config(dir.path())).unwrap());
        }
    }
}

#[test]
fn a_table_that_is_damaged_under_an_open_store_is_mended_when_it_is_read() {
    for keyspace in ["1", "2"] {
        let dir = copied();
        let store = DiskStore::open(&config(dir.path())).unwrap();
        for table in files(&dir.path().join("keyspaces").join(keyspace).join("tables")) {
            flip(&table, 60);
        }
        check(&store);
    }
}

#[test]
fn what_is_damaged_twice_is_left_as_it_is_and_told() {
    let dir = copied();
    let tables = files(&dir.path().join("keyspaces/2/tables"));
    for table in tables.iter().chain(&files(&dir.path().join("copies/2"))) {
        flip(table, fs::metadata(table).unwrap().len() as usize - 10);
    }
    let damaged: Vec<_> = tables.iter().map(|table| fs::read(table).unwrap()).collect();
    let Err(refused) = DiskStore::open(&config(dir.path())) else { panic!("a damaged table was read") };
    assert!(matches!(&refused, Error::Open { .. }), "{refused}");
    assert_eq!(tables.iter().map(|table| fs::read(table).unwrap()).collect::<Vec<_>>(), damaged);
}

#[test]
fn a_list_that_is_damaged_and_has_no_copy_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let keyspace = dir.path().join("keyspaces/2");
    let list = List::current(&keyspace).unwrap().path(&keyspace);
    // Somewhere in the numbers of its tables; fjall has no checksum of those.
    flip(&list, 60);
    let Err(refused) = DiskStore::open(&config(dir.path())) else { panic!("a damaged list was read") };
    assert!(refused.to_string().contains("the list of its files is damaged"), "{refused}");
}

#[test]
fn only_what_stays_for_a_while_and_is_sound_is_copied_and_goes_with_its_file() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let copies = Copies::of(dir.path());
    let there = || files(&dir.path().join("copies"));
    let mut rounds = Rounds::of(&copies);
    rounds.round(&|_| true);
    assert!(there().is_empty(), "they may be gone in a moment");
    rounds.round(&|_| false);
    assert!(there().is_empty(), "there is no room");
    let damaged = files(&dir.path().join("keyspaces/1/tables")).pop_first().unwrap();
    flip(&damaged, 60);
    rounds.round(&|_| true);
    let copied = there();
    let of_damaged = format!("tables-{}-", name(&damaged));
    let first = |keyspace: &str| {
        let path = dir.path().join("copies").join(keyspace);
        copied.iter().filter(|copy| copy.starts_with(&path)).map(|copy| name(copy).to_owned()).collect::<Vec<_>>()
    };
    assert!(!first("1").iter().any(|copy| copy.starts_with(&of_damaged)), "{copied:?}");
    assert!(first("2").iter().any(|copy| copy.starts_with("tables-")), "{copied:?}");
    flip(&damaged, 60);
    write_more(dir.path());
    rounds.round(&|_| false);
    assert!(copied.iter().any(|copy| !copy.exists()), "a list is gone");
    rounds.round(&|_| true);
    let lists = |found: BTreeSet<PathBuf>| found.iter().filter(|copy| name(copy).starts_with('v')).count();
    assert_eq!(lists(there()), 3, "one for each keyspace");
}

#[test]
fn a_list_that_is_gone_is_not_replaced_by_an_older_one() {
    let dir = copied();
    let keyspace = dir.path().join("keyspaces/2");
    write_more(dir.path());
    let list = List::current(&keyspace).unwrap().path(&keyspace);
    let (current, bytes) = (fs::read(keyspace.join("current")).unwrap(), fs::read(&list).unwrap());
    for gone in [list.clone(), keyspace.join("current")] {
        fs::remove_file(gone).unwrap();
        let Err(refused) = DiskStore::open(&config(dir.path())) else { panic!("what was written is lost") };
        assert!(refused.to_string().contains(dir.path().to_str().unwrap()), "{refused}");
        fs::write(keyspace.join("current"), &current).unwrap();
        fs::write(&list, &bytes).unwrap();
    }
    let store = DiskStore::open(&config(dir.path())).unwrap();
    assert_eq!(store.end(LogId(9)).unwrap(), Some(5));
}

#[test]
fn a_file_that_is_no_part_of_it_is_left_alone() {
    let dir = copied();
    fs::write(dir.path().join("keyspaces/note"), "by hand").unwrap();
    let copies = Copies::of(dir.path());
    assert!(!copies.hold().restore(), "nothing is damaged");
    check(&DiskStore::open(&config(dir.path())).unwrap());
}
