//! Restarts and crashes, and the size of the journal.

use bytes::Bytes;
use proptest::prelude::*;

use crate::store::disk::engine::Engine;
use crate::store::disk::journal::{Journal, journal_dir};
use crate::store::disk::memtable::MemTable;
use crate::store::disk::recovery::recover;
use crate::store::disk::retained::RetainedSegments;
use crate::store::disk::store::DiskStore;
use crate::store::disk::testing::{TINY_LIMITS, config, disk_usage, open, open_flushing};
use crate::store::{Batch, Error, LogId, Owner, Run, Store, Table};

const TABLE: Table = Owner::Streams.table("names");

/// One step of a test, on a store and on the model.
#[derive(Debug, Clone)]
enum Step {
    Append { log: u64, lengths: Vec<usize> },
    Drop { log: u64 },
    Put { key: u8, value: u8 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![5 => 1_usize..40, 1 => 1_usize..90_000];
    prop_oneof![
        8 => (0..4_u64, prop::collection::vec(length, 1..8)).prop_map(|(log, lengths)| Step::Append { log, lengths }),
        1 => (0..4_u64).prop_map(|log| Step::Drop { log }),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(key, value)| Step::Put { key, value }),
        1 => Just(Step::Reopen),
    ]
}

/// The model: every log as one text with the ends of its records, and every key.
#[derive(Default)]
struct Model {
    /// Number, bytes, ends. A dropped log is continued under a new number.
    logs: [(u64, Vec<u8>, Vec<u64>); 4],
    keys: std::collections::BTreeMap<u8, u8>,
    next: u64,
}

impl Model {
    /// Applies a step to the model, and adds it to a batch.
    fn step(&mut self, step: &Step, batch: &mut Batch) {
        match step {
            Step::Append { log, lengths } => {
                let (id, bytes, ends) = &mut self.logs[*log as usize];
                for length in lengths {
                    if bytes.is_empty() {
                        self.next += 1;
                        *id = self.next;
                    }
                    let record: Vec<u8> = (0..*length).map(|byte| (byte * 7 + bytes.len()) as u8).collect();
                    batch.append(LogId(*id), bytes.len() as u64, Bytes::copy_from_slice(&record).into());
                    bytes.extend(record);
                    ends.push(bytes.len() as u64);
                }
            }
            Step::Drop { log } => {
                let (id, bytes, ends) = &mut self.logs[*log as usize];
                batch.drop_log(LogId(*id));
                bytes.clear();
                ends.clear();
            }
            Step::Put { key, value } => {
                batch.put(TABLE, Bytes::copy_from_slice(&[*key]), Bytes::copy_from_slice(&[*value]));
                self.keys.insert(*key, *value);
            }
            Step::Reopen => {}
        }
    }

    fn check(&self, store: &DiskStore) {
        for (id, bytes, ends) in &self.logs {
            let end = bytes.len() as u64;
            if bytes.is_empty() {
                assert_eq!(store.end(LogId(*id)).unwrap(), None);
                continue;
            }
            assert_eq!(store.end(LogId(*id)).unwrap(), Some(end));
            for start in [0].iter().chain(ends).take(8) {
                let run = store.read(LogId(*id), *start..end, usize::MAX).unwrap();
                assert_eq!(run.chunks.concat(), &bytes[*start as usize..]);
                let now = store.read_now(LogId(*id), *start..end, usize::MAX);
                // A flush between the two reads divides the same bytes into other chunks.
                let bytes = |run: &Run| (run.chunks.concat(), run.end);
                assert!(now.is_none_or(|now| bytes(&now.unwrap()) == bytes(&run)));
            }
        }
        let keys = store.scan(TABLE, None, usize::MAX).unwrap();
        let keys: Vec<_> = keys.iter().map(|(key, value)| (key[0], value[0])).collect();
        assert_eq!(keys, self.keys.clone().into_iter().collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_store_keeps_everything_wherever_it_is_reopened(steps in prop::collection::vec(step(), 1..40), flushing: bool) {
        let dir = tempfile::tempdir().unwrap();
        let open = || if flushing { open_flushing(dir.path()) } else { open(dir.path()) };
        let (mut store, mut model) = (open(), Model::default());
        for step in &steps {
            if matches!(step, Step::Reopen) {
                drop(store);
                store = open();
            }
            let mut batch = Batch::default();
            model.step(step, &mut batch);
            store.commit(batch).unwrap();
            model.check(&store);
        }
    }
}

/// Flushes a directory's journal as if interrupted by a crash: after the keys, or (`all`) before the journal is released.
fn flush_until_a_crash(dir: &std::path::Path, all: bool) {
    let engine = Engine::open(&config(dir)).unwrap();
    let database = engine.database().unwrap();
    let (next_commit, ends) = (database.next_commit().unwrap(), database.page_ends().unwrap());
    let retained = database.retained().unwrap().into_iter().map(|(segment, _)| segment);
    let retained = RetainedSegments::expecting(retained, 4);
    let (journal, replay) = Journal::open(&journal_dir(dir), next_commit, &retained, true).unwrap();
    let mut memtable = recover(MemTable::over(ends.into_iter()), &replay).unwrap().memtable;
    let generation = memtable.generation();
    match all {
        true => database.flush(&generation, journal.next_commit(), None).unwrap(),
        false => database.flush_keys(&generation.keys).unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_crash_during_a_flush_changes_nothing(steps in prop::collection::vec(step(), 1..40), all: bool) {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, mut model) = (open(dir.path()), Model::default());
        for step in &steps {
            let mut batch = Batch::default();
            model.step(step, &mut batch);
            store.commit(batch).unwrap();
            if matches!(step, Step::Reopen) {
                drop(store);
                flush_until_a_crash(dir.path(), all);
                store = open(dir.path());
                model.check(&store);
            }
        }
        drop(store);
        flush_until_a_crash(dir.path(), all);
        model.check(&open(dir.path()));
    }
}

#[test]
fn a_directory_that_is_open_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _open = open(dir.path());
    let refused = DiskStore::open(&config(dir.path())).err().unwrap();
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
}

#[test]
fn a_directory_in_an_earlier_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let database = fjall::Database::builder(dir.path()).open().unwrap();
    drop(database.keyspace("tail", fjall::KeyspaceCreateOptions::default).unwrap());
    drop(database);
    let refused = DiskStore::open(&config(dir.path())).err().unwrap().to_string();
    assert!(
        refused.contains("this folder has format 2, this program reads 3")
            && refused.contains(&dir.path().display().to_string()),
        "{refused}"
    );
}

#[test]
fn the_journal_of_a_busy_store_stays_short() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_flushing(dir.path());
    let mut batch = Batch::default();
    batch.append(LogId(1), 0, "left alone".into());
    store.commit(batch).unwrap();
    for start in 0..60 {
        let mut batch = Batch::default();
        batch.append(LogId(2), start, "x".into());
        store.commit(batch).unwrap();
        let (segments, bytes) = store.journal_size();
        assert!(segments == 1 && bytes <= TINY_LIMITS.journal_bytes_max + 64, "{segments} files, {bytes} bytes");
    }
    store.wait_until_flushed();
    let files = std::fs::read_dir(dir.path().join("journal")).unwrap().count();
    assert!(files <= 2, "{files} files");
}

#[test]
fn many_starts_leave_few_files() {
    let dir = tempfile::tempdir().unwrap();
    for start in 0..30 {
        let store = open(dir.path());
        let mut batch = Batch::default();
        batch.append(LogId(1), start, "x".into());
        store.commit(batch).unwrap();
        store.wait_until_flushed();
        let files = std::fs::read_dir(dir.path().join("journal")).unwrap().count();
        assert!(files <= 10, "{files} files after {start} starts");
    }
    let store = open(dir.path());
    assert_eq!(store.read(LogId(1), 0..30, 100).unwrap().end, 30);
}

#[test]
fn a_full_disk_refuses_content() {
    let dir = tempfile::tempdir().unwrap();
    let config = crate::store::DiskConfig { free_bytes_min: u64::MAX, ..config(dir.path()) };
    let store = DiskStore::open(&config).unwrap();
    assert!(matches!(store.reserve(0), Err(Error::DiskFull { .. })));
}

#[test]
fn the_disk_usage_is_at_most_what_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let before = disk_usage(dir.path());
    let mut ends = [0; 32];
    for number in 0..1200_usize {
        let (log, long) = (number % ends.len(), number.is_multiple_of(12));
        let record = vec![number as u8; if long { 1_000_000 } else { 4_000 }];
        let mut batch = Batch::default();
        batch.append(LogId(log as u64), ends[log], record.clone().into());
        ends[log] += record.len() as u64;
        store.commit(batch).unwrap();
        let (occupied, counted) = (disk_usage(dir.path()) - before, store.free_space().written_bytes());
        // Files have headers, and end within a block.
        assert!(occupied <= counted + counted / 50 + 500_000, "{occupied} bytes, {counted} counted");
    }
}

#[test]
fn a_page_that_was_read_is_cached_for_the_next_reader() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_flushing(dir.path());
    let (log, other) = (LogId(1), LogId(2));
    let append = |log, start, record: &'static [u8]| {
        let mut batch = Batch::default();
        batch.append(log, start, Bytes::from_static(record).into());
        store.commit(batch).unwrap();
    };
    append(log, 0, b"first");
    // Flush it.
    (0..100).for_each(|number| append(other, number * 4, b"more"));
    assert!(store.read_now(log, 0..5, 100).is_none(), "it is not in memory");
    let read = store.read(log, 0..5, 100).unwrap();
    assert_eq!(store.read_now(log, 0..5, 100).unwrap().unwrap(), read);
    append(log, 5, b", second");
    let both = store.read_now(log, 0..13, 100).unwrap().unwrap();
    assert_eq!((both.chunks.concat(), both.end), (b"first, second".to_vec(), 13));
    let some = store.read_now(log, 0..13, 5).unwrap().unwrap();
    assert_eq!((some.chunks.concat(), some.end), (b"first".to_vec(), 5));
}
