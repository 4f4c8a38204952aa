//! Damage in the journal: reported, and limited to the records that it hits.

use crate::store::disk::testing::open;
use crate::store::{Batch, Error, Gap, LogId, Store};

/// Flips a bit of a text in the journal.
fn flip(dir: &std::path::Path, text: &str) {
    let mut flipped = 0;
    for file in std::fs::read_dir(dir.join("journal")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text.as_bytes()) {
            bytes[at + 1] ^= 1;
            flipped += 1;
            std::fs::write(path, bytes).unwrap();
        }
    }
    assert_eq!(flipped, 1);
}

#[test]
fn a_damaged_last_record_of_a_log_is_reported_as_a_gap() {
    // In the middle of the journal, and at its end.
    for damaged in [5_u64, 7] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for (position, record) in [(0, "one"), (4, "two")] {
            for log in [5, 6, 7] {
                let mut batch = Batch::default();
                batch.append(LogId(log), position, format!("{record}{log}").into());
                store.commit(batch).unwrap();
            }
        }
        drop(store);
        flip(dir.path(), &format!("two{damaged}"));
        let gap = Gap { log: LogId(damaged), from: 4, until: 8 };
        for gaps in [vec![gap], vec![]] {
            let store = open(dir.path());
            assert_eq!(store.gaps(), gaps);
            let log = LogId(damaged);
            assert_eq!(store.read(log, 0..8, 100).unwrap().chunks.concat(), format!("one{damaged}").as_bytes());
            let refused = store.read(log, 4..8, 100).unwrap_err();
            assert!(matches!(refused, Error::Damaged { position: 4, .. }), "{refused}");
            let end = store.end(log).unwrap().unwrap();
            let mut batch = Batch::default();
            batch.append(log, end, "more".into());
            store.commit(batch).unwrap();
            assert_eq!(store.read(log, end..end + 4, 100).unwrap().chunks.concat(), b"more");
            assert_eq!(store.start_after(log, 4).unwrap(), Some(8), "what follows the gap");
            assert_eq!(store.read(LogId(6), 0..8, 100).unwrap().chunks.concat(), b"one6two6");
        }
    }
}

#[test]
fn a_damaged_first_record_of_a_log_is_reported_as_a_gap() {
    for records in [1_u64, 2] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for number in 0..records {
            let mut batch = Batch::default();
            batch.append(LogId(5), number * 4, format!("num{number}").into());
            batch.append(LogId(6 + number), 0, "beside".into());
            store.commit(batch).unwrap();
        }
        let mut batch = Batch::default();
        batch.append(LogId(9), 0, "later".into());
        store.commit(batch).unwrap();
        drop(store);
        flip(dir.path(), "num0");
        let store = open(dir.path());
        assert!(store.gaps().contains(&Gap { log: LogId(5), from: 0, until: 4 }), "{:?}", store.gaps());
        assert_eq!(store.end(LogId(5)).unwrap(), Some(records * 4));
        let refused = store.read(LogId(5), 0..4, 100).unwrap_err();
        assert!(matches!(refused, Error::NoRecord { position: 0, .. } | Error::Damaged { .. }), "{refused}");
    }
}
