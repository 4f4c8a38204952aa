//! Restarts: the next process finds the same streams in the store.

use std::sync::Arc;

use tempfile::TempDir;

use super::world::{append, config, content_bytes, create, idle_stream, path, produced, seen, text, text_stream};
use crate::store::{Batch, DiskConfig, DiskStore, Durability, MemoryStore, Owner, Store};
use crate::streams::commit::{COUNTERS, NEXT_ERA, NEXT_LOG, STREAMS};
use crate::streams::{AppendRequest, Begin, CreateRequest, Effect, Error, ForkRequest, Offset, Refusal, Streams};

/// The store that a process leaves behind.
enum Medium {
    Memory(Arc<MemoryStore>),
    Disk(TempDir),
}

impl Medium {
    /// An empty one of each kind.
    fn each() -> [Self; 2] {
        [Self::Memory(Arc::default()), Self::Disk(tempfile::tempdir().unwrap())]
    }

    fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::clone(store) as Arc<dyn Store>,
            Self::Disk(dir) => {
                let dir = dir.path().to_owned();
                let config =
                    DiskConfig { dir, durability: Durability::Sync, free_bytes_min: 0, cache_bytes: 1024 * 1024 };
                Arc::new(DiskStore::open(&config).unwrap())
            }
        }
    }

    fn open(&self) -> Streams {
        Streams::open(config(), self.store()).unwrap()
    }
}

#[tokio::test]
async fn content_ends_producers_and_sequences_survive() {
    for medium in Medium::each() {
        let before = medium.open();
        create(&before, "a", &text_stream()).await.unwrap();
        before.append(&path("a"), &produced(0), "one".into()).await.unwrap();
        before.append(&path("a"), &AppendRequest { seq: Some("5".into()), ..produced(1) }, "two".into()).await.unwrap();
        create(&before, "closed", &text_stream()).await.unwrap();
        let last = AppendRequest { closed: true, ..produced(0) };
        before.append(&path("closed"), &last, "end".into()).await.unwrap();

        before.close().await;
        let after = medium.open();
        assert_eq!(seen(&after, "a").await.unwrap(), "onetwo");
        let repeated = after.append(&path("a"), &produced(1), "two".into()).await.unwrap();
        assert_eq!((repeated.effect, repeated.producer), (Effect::Repeated, Some((0, 1))));
        let regressed = after.append(&path("a"), &AppendRequest { seq: Some("4".into()), ..text() }, "x".into()).await;
        assert!(matches!(regressed, Err(Error::Refused(Refusal::SeqRegressed { .. }))));
        assert!(after.describe(&path("closed")).unwrap().closed);
        assert_eq!(after.append(&path("closed"), &last, "end".into()).await.unwrap().effect, Effect::Repeated);
        append(&after, "a", "three").await.unwrap();
        after.close().await;
        assert_eq!(seen(&medium.open(), "a").await.unwrap(), "onetwothree");
    }
}

#[tokio::test]
async fn forks_keep_the_content_of_their_source_until_they_are_deleted() {
    for medium in Medium::each() {
        let before = medium.open();
        create(&before, "a", &text_stream()).await.unwrap();
        append(&before, "a", "shared").await.unwrap();
        let fork = ForkRequest { source: path("a"), offset: None, sub_offset: 0 };
        create(&before, "b", &CreateRequest { fork: Some(fork), ..text_stream() }).await.unwrap();
        append(&before, "b", "+own").await.unwrap();
        before.delete(&path("a")).await.unwrap();

        before.close().await;
        let after = medium.open();
        assert_eq!(seen(&after, "b").await.unwrap(), "shared+own");
        assert!(matches!(seen(&after, "a").await, Err(Error::Refused(Refusal::Deleted { .. }))));
        after.delete(&path("b")).await.unwrap();
        assert!(matches!(seen(&after, "a").await, Err(Error::Refused(Refusal::NotFound { .. }))));
        after.close().await;
        let last = medium.open();
        assert_eq!(last.with_ledger(|ledger, _| ledger.streams_count()), 0);
        assert_eq!(content_bytes(&last), 0);
    }
}

#[tokio::test]
async fn a_path_that_is_used_again_never_has_the_tag_of_its_former_life() {
    for medium in Medium::each() {
        let streams = medium.open();
        create(&streams, "a", &text_stream()).await.unwrap();
        let first = streams.describe(&path("a")).unwrap().life;
        streams.delete(&path("a")).await.unwrap();
        create(&streams, "a", &text_stream()).await.unwrap();
        let second = streams.describe(&path("a")).unwrap().life;
        assert!(second > first);
        streams.close().await;
        assert_eq!(medium.open().describe(&path("a")).unwrap().life, second);
    }
}

#[tokio::test]
async fn numbers_of_logs_only_grow_even_if_the_clock_is_set_back() {
    for medium in Medium::each() {
        let ahead = u64::MAX / 2;
        let store = medium.store();
        let mut batch = Batch::default();
        batch.put(COUNTERS, NEXT_LOG.into(), ahead.to_be_bytes().to_vec().into());
        store.commit(batch).unwrap();
        drop(store);
        let streams = medium.open();
        create(&streams, "a", &text_stream()).await.unwrap();
        // The registry has the number before.
        assert_eq!(log(&streams), ahead + 1);
        streams.delete(&path("a")).await.unwrap();
        streams.close().await;
        let streams = medium.open();
        create(&streams, "a", &text_stream()).await.unwrap();
        assert_eq!(log(&streams), ahead + 2);
    }
}

#[tokio::test]
async fn eras_only_grow_even_if_the_clock_is_set_back() {
    for medium in Medium::each() {
        let ahead = Offset::POSITION_MAX / 2 + 1_000_000;
        let store = medium.store();
        let mut batch = Batch::default();
        batch.put(COUNTERS, NEXT_ERA.into(), ahead.to_be_bytes().to_vec().into());
        store.commit(batch).unwrap();
        drop(store);
        let mut before = ahead - 1;
        for _ in 0..3 {
            let streams = medium.open();
            create(&streams, "a", &text_stream()).await.unwrap();
            let era = append(&streams, "a", "x").await.unwrap().next.era();
            assert!(era > before, "{era} after {before}");
            before = era;
            streams.delete(&path("a")).await.unwrap();
            streams.close().await;
        }
    }
}

#[tokio::test]
async fn a_stream_from_before_there_were_eras_goes_on_and_its_next_life_has_another() {
    for medium in Medium::each() {
        let store = medium.store();
        let mut batch = Batch::default();
        let entry = r#"{"log":7,"content_type":"text/plain","created_ms":1,"accessed_ms":2}"#;
        batch.put(STREAMS, "a".into(), entry.into());
        batch.append(Owner::Streams.log(7), 0, "old".into());
        store.commit(batch).unwrap();
        drop(store);
        let streams = medium.open();
        let from = |at| streams.read(&path("a"), Begin::After(at));
        assert_eq!(append(&streams, "a", "new").await.unwrap().next, Offset::at(0, 6));
        let slice = from(Offset::at(0, 3)).unwrap().take(100).await.unwrap();
        assert_eq!((slice.chunks.concat(), slice.next), (b"new".to_vec(), Offset::at(0, 6)));
        streams.delete(&path("a")).await.unwrap();
        create(&streams, "a", &text_stream()).await.unwrap();
        append(&streams, "a", "other life").await.unwrap();
        assert!(matches!(from(Offset::at(0, 3)), Err(Error::OffsetGone { .. })));
    }
}

fn log(streams: &Streams) -> u64 {
    streams.with_ledger(|ledger, _| ledger.stream(&path("a")).unwrap().entry.log)
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_an_access_in_the_future_does_not_live_longer() {
    let medium = Medium::Memory(Arc::default());
    let before = medium.open();
    create(&before, "a", &idle_stream(10)).await.unwrap();
    before.close().await;
    let store = medium.store();
    let entry = store.get(STREAMS, b"a").unwrap().unwrap();
    let mut entry: serde_json::Value = serde_json::from_slice(&entry).unwrap();
    entry["accessed_ms"] = u64::MAX.into();
    let mut batch = Batch::default();
    batch.put(STREAMS, "a".into(), entry.to_string().into());
    store.commit(batch).unwrap();

    let after = medium.open();
    assert!(after.describe(&path("a")).is_ok());
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    assert!(matches!(after.describe(&path("a")), Err(Error::Refused(Refusal::NotFound { .. }))));
}

#[tokio::test]
async fn the_error_about_a_damaged_entry_names_the_stream() {
    for medium in Medium::each() {
        let store = medium.store();
        let mut batch = Batch::default();
        batch.put(STREAMS, "a/b".into(), "{\"log\":".into());
        store.commit(batch).unwrap();
        let refused = Streams::open(config(), store).err().unwrap().to_string();
        assert!(refused.contains("a/b"), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_end_a_stream_early() {
    let medium = Medium::Memory(Arc::default());
    let before = medium.open();
    create(&before, "a", &idle_stream(10)).await.unwrap();
    let after = medium.open();
    assert!(seen(&after, "a").await.is_ok());
}
