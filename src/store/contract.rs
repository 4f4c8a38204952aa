//! The contract suite of every store.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::disk::testing;
use super::{Batch, Error, LogId, MemoryStore, Owner, Store, Table};

const LOG: LogId = LogId(7);
const TABLE: Table = Owner::Streams.table("names");
const OTHERS: Table = Owner::Streams.table("others");

fn every_store(check: impl Fn(Arc<dyn Store>)) {
    check(Arc::new(MemoryStore::default()));
    let dir = tempfile::tempdir().unwrap();
    check(Arc::new(testing::open(dir.path())));
    let dir = tempfile::tempdir().unwrap();
    check(Arc::new(testing::open_flushing(dir.path())));
}

/// Commits records to the log, beginning at `start`.
fn append(store: &dyn Store, start: u64, records: &[&[u8]]) {
    let mut batch = Batch::default();
    let mut end = start;
    for record in records {
        batch.append(LOG, end, Bytes::copy_from_slice(record).into());
        end += record.len() as u64;
    }
    store.commit(batch).unwrap();
}

/// Checks the text that a read returns, and its end.
fn check_read(store: &dyn Store, range: std::ops::Range<u64>, bytes_max: usize, expected: (&str, u64)) {
    let run = store.read(LOG, range.clone(), bytes_max).unwrap();
    let text = String::from_utf8(run.chunks.concat()).unwrap();
    assert_eq!((text.as_str(), run.end), expected, "{range:?} at most {bytes_max}");
}

#[test]
fn records_are_read_back_in_order() {
    every_store(|store| {
        append(&*store, 0, &[b"one", b"two", b"three"]);
        check_read(&*store, 0..11, 100, ("onetwothree", 11));
        check_read(&*store, 3..11, 100, ("twothree", 11));
        check_read(&*store, 11..11, 100, ("", 11));
        assert_eq!(store.end(LOG).unwrap(), Some(11));
        assert_eq!(store.end(LogId(8)).unwrap(), None);
    });
}

#[test]
fn a_log_may_start_anywhere() {
    every_store(|store| {
        append(&*store, 1_000, &[b"one"]);
        check_read(&*store, 1_000..1_003, 100, ("one", 1_003));
    });
}

#[test]
fn a_read_takes_whole_records_and_at_least_one() {
    every_store(|store| {
        append(&*store, 0, &[b"one", b"two", b"three"]);
        check_read(&*store, 0..11, 7, ("onetwo", 6));
        check_read(&*store, 0..11, 6, ("onetwo", 6));
        check_read(&*store, 0..11, 1, ("one", 3));
        check_read(&*store, 6..11, 1, ("three", 11));
    });
}

#[test]
fn a_read_is_cut_at_the_end_of_its_range() {
    every_store(|store| {
        append(&*store, 0, &[b"one", b"two"]);
        check_read(&*store, 0..4, 100, ("onet", 4));
        check_read(&*store, 0..2, 100, ("on", 2));
        check_read(&*store, 2..2, 100, ("", 2));
    });
}

#[test]
fn a_read_begins_where_a_record_does() {
    every_store(|store| {
        append(&*store, 5, &[b"one", b"two"]);
        for position in [0, 6, 7, 9, 12] {
            let refused = store.read(LOG, position..20, 100);
            assert!(matches!(refused, Err(Error::NoRecord { .. })), "{position}: {refused:?}");
        }
        assert!(matches!(store.read(LogId(8), 0..1, 100), Err(Error::NoRecord { .. })));
    });
}

#[test]
fn the_record_that_holds_a_byte_is_found() {
    every_store(|store| {
        append(&*store, 5, &[b"one", b"two", &[b'x'; 70_000], b"four"]);
        let starts = [(5, 5), (7, 5), (8, 8), (10, 8), (11, 11), (70_010, 11), (70_011, 70_011), (70_014, 70_011)];
        for (position, start) in starts {
            assert_eq!(store.record_start(LOG, position).unwrap(), start, "{position}");
        }
        for position in [0, 4, 70_015, 80_000] {
            assert!(matches!(store.record_start(LOG, position), Err(Error::NoRecord { .. })), "{position}");
        }
        assert!(store.record_start(LogId(8), 5).is_err());
    });
}

#[test]
fn a_batch_with_one_bad_record_changes_nothing() {
    every_store(|store| {
        append(&*store, 0, &[b"one"]);
        let mut batch = Batch::default();
        batch.put(TABLE, "key".into(), "value".into());
        batch.append(LOG, 3, "two".into());
        batch.append(LOG, 7, "gap".into());
        assert!(matches!(store.commit(batch), Err(Error::Gap { end: 6, start: 7, .. })));
        let mut batch = Batch::default();
        batch.append(LOG, 3, "two".into());
        batch.append(LOG, 6, Bytes::new().into());
        assert!(matches!(store.commit(batch), Err(Error::Empty { .. })));
        assert_eq!(store.end(LOG).unwrap(), Some(3));
        assert_eq!(store.get(TABLE, b"key").unwrap(), None);
    });
}

#[test]
fn a_dropped_log_is_gone() {
    every_store(|store| {
        append(&*store, 0, &[b"old"]);
        let mut batch = Batch::default();
        batch.append(LOG, 3, "last words".into());
        batch.drop_log(LOG);
        batch.append(LogId(8), 10, "another".into());
        store.commit(batch).unwrap();
        assert_eq!(store.end(LOG).unwrap(), None);
        assert!(store.read(LOG, 0..3, 100).is_err());
        assert_eq!(store.end(LogId(8)).unwrap(), Some(17));
    });
}

#[test]
fn a_run_stays_readable_after_its_log_is_dropped() {
    every_store(|store| {
        append(&*store, 0, &[b"still here"]);
        let run = store.read(LOG, 0..10, 100).unwrap();
        let mut batch = Batch::default();
        batch.drop_log(LOG);
        store.commit(batch).unwrap();
        assert_eq!(run.chunks.concat(), b"still here");
    });
}

#[test]
fn keys_are_put_replaced_and_removed_in_the_order_of_the_batch() {
    every_store(|store| {
        let mut batch = Batch::default();
        batch.put(TABLE, "a".into(), "1".into());
        batch.put(TABLE, "a".into(), "2".into());
        batch.put(TABLE, "b".into(), "1".into());
        batch.remove(TABLE, "b".into());
        batch.remove(TABLE, "never there".into());
        batch.put(OTHERS, "a".into(), "3".into());
        store.commit(batch).unwrap();
        assert_eq!(store.get(TABLE, b"a").unwrap().as_deref(), Some(&b"2"[..]));
        assert_eq!(store.get(TABLE, b"b").unwrap(), None);
        assert_eq!(store.scan(OTHERS, None, 10).unwrap().len(), 1);
    });
}

#[test]
fn keys_with_a_prefix_are_swept_and_no_others() {
    every_store(|store| {
        let mut batch = Batch::default();
        for key in ["a", "ab", "abc", "ac", "b"] {
            batch.put(TABLE, key.into(), "1".into());
        }
        batch.sweep(TABLE, "ab".into());
        store.commit(batch).unwrap();
        let keys: Vec<Bytes> = store.scan(TABLE, None, 10).unwrap().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a", "ac", "b"]);
    });
}

#[test]
fn a_scan_continues_after_its_last_key() {
    every_store(|store| {
        let mut batch = Batch::default();
        for key in ["c", "a", "b"] {
            batch.put(TABLE, key.into(), "1".into());
        }
        store.commit(batch).unwrap();
        let page = |after: Option<&[u8]>| store.scan(TABLE, after, 2).unwrap();
        let keys = |page: Vec<(Bytes, Bytes)>| page.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(keys(page(None)), ["a", "b"]);
        assert_eq!(keys(page(Some(b"b"))), ["c"]);
        assert!(page(Some(b"c")).is_empty());
    });
}

/// Commits one record and one key of an owner, in the log and under the name that every owner uses.
fn written_by(store: &dyn Store, owner: Owner, text: &'static str) {
    let mut batch = Batch::default();
    batch.append(owner.log(7), 0, text.into());
    batch.put(owner.table("names"), "key".into(), text.into());
    store.commit(batch).unwrap();
}

/// Checks that the owner finds exactly this in that log and under that name.
fn check_owned(store: &dyn Store, owner: Owner, text: &'static str) {
    let run = store.read(owner.log(7), 0..100, 100).unwrap();
    assert_eq!(run.chunks.concat(), text.as_bytes());
    let keys = store.scan(owner.table("names"), None, 10).unwrap();
    assert_eq!(keys, [("key".into(), text.into())]);
}

#[test]
fn owners_that_use_the_same_names_and_numbers_do_not_see_each_other() {
    every_store(|store| {
        written_by(&*store, Owner::Streams, "of streams");
        written_by(&*store, Owner::Users, "of users");
        check_owned(&*store, Owner::Streams, "of streams");
        check_owned(&*store, Owner::Users, "of users");
        let mut batch = Batch::default();
        batch.drop_log(Owner::Streams.log(7));
        batch.sweep(Owner::Streams.table("names"), Bytes::new());
        store.commit(batch).unwrap();
        assert_eq!(store.end(Owner::Streams.log(7)).unwrap(), None);
        assert!(store.scan(Owner::Streams.table("names"), None, 10).unwrap().is_empty());
        check_owned(&*store, Owner::Users, "of users");
    });
}

#[test]
fn owners_find_their_own_after_the_store_was_opened_again() {
    // One store reads them from its journal, the other one from its database.
    for open in [testing::open, testing::open_flushing] {
        let dir = tempfile::tempdir().unwrap();
        {
            let store = open(dir.path());
            written_by(&store, Owner::Streams, "of streams");
            written_by(&store, Owner::Outbox, "of the outbox");
            written_by(&store, Owner::Users, "of users");
        }
        let store = open(dir.path());
        check_owned(&store, Owner::Streams, "of streams");
        check_owned(&store, Owner::Outbox, "of the outbox");
        check_owned(&store, Owner::Users, "of users");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Reads small and large records of several batches, from each of their starts, with any bound.
    #[test]
    fn every_record_is_found_wherever_the_store_keeps_it(
        lengths in prop::collection::vec(prop_oneof![1_usize..40, 1_usize..70_000], 1..40),
        batch_records in 1_usize..10,
        bytes_max in 1_usize..200_000,
    ) {
        every_store(|store| {
            let mut whole = Vec::new();
            let mut starts = Vec::new();
            for (index, lengths) in lengths.chunks(batch_records).enumerate() {
                let mut batch = Batch::default();
                for length in lengths {
                    let record: Vec<u8> = (0..*length).map(|byte| (byte + index) as u8).collect();
                    starts.push(whole.len() as u64);
                    batch.append(LOG, whole.len() as u64, Bytes::copy_from_slice(&record).into());
                    whole.extend(record);
                }
                store.commit(batch).unwrap();
            }
            let end = whole.len() as u64;
            for (index, start) in starts.iter().enumerate() {
                let run = store.read(LOG, *start..end, bytes_max).unwrap();
                assert_eq!(run.chunks.concat(), &whole[*start as usize..run.end as usize]);
                assert!(run.end == end || starts.contains(&run.end), "{} is not a boundary", run.end);
                let taken = (run.end - start) as usize;
                let first = starts.get(index + 1).unwrap_or(&end) - start;
                assert!(taken <= bytes_max || taken as u64 == first, "{taken} of at most {bytes_max}");
                let next = starts.iter().find(|next| **next > run.end).unwrap_or(&end);
                assert!(run.end == end || (next - start) as usize > bytes_max, "one more record would have fitted");
            }
        });
    }
}
