//! A store that was written to gives the same streams to the next process.

use std::sync::Arc;

use super::world::{append, config, content_bytes, create, idle_stream, path, produced, seen, text, text_stream};
use crate::store::{MemoryStore, Store};
use crate::streams::{AppendRequest, CreateRequest, Effect, Error, ForkRequest, Refusal, Streams};

fn open(store: &Arc<MemoryStore>) -> Streams {
    Streams::open(config(), Arc::clone(store) as Arc<dyn Store>).unwrap()
}

#[tokio::test]
async fn content_ends_producers_and_sequences_are_there_again() {
    let store = Arc::new(MemoryStore::default());
    let before = open(&store);
    create(&before, "a", &text_stream()).await.unwrap();
    before.append(&path("a"), &produced(0), "one".into()).await.unwrap();
    before.append(&path("a"), &AppendRequest { seq: Some("5".into()), ..produced(1) }, "two".into()).await.unwrap();
    create(&before, "closed", &text_stream()).await.unwrap();
    let last = AppendRequest { closed: true, ..produced(0) };
    before.append(&path("closed"), &last, "end".into()).await.unwrap();

    let after = open(&store);
    assert_eq!(seen(&after, "a").await.unwrap(), "onetwo");
    let repeated = after.append(&path("a"), &produced(1), "two".into()).await.unwrap();
    assert_eq!((repeated.effect, repeated.producer), (Effect::Repeated, Some((0, 1))));
    let regressed = after.append(&path("a"), &AppendRequest { seq: Some("4".into()), ..text() }, "x".into()).await;
    assert!(matches!(regressed, Err(Error::Refused(Refusal::SeqRegressed { .. }))));
    assert!(after.describe(&path("closed")).unwrap().closed);
    assert_eq!(after.append(&path("closed"), &last, "end".into()).await.unwrap().effect, Effect::Repeated);
    append(&after, "a", "three").await.unwrap();
    assert_eq!(seen(&open(&store), "a").await.unwrap(), "onetwothree");
}

#[tokio::test]
async fn forks_keep_what_they_stand_on_and_let_go_of_it() {
    let store = Arc::new(MemoryStore::default());
    let before = open(&store);
    create(&before, "a", &text_stream()).await.unwrap();
    append(&before, "a", "shared").await.unwrap();
    let fork = ForkRequest { source: path("a"), offset: None, sub_offset: 0 };
    create(&before, "b", &CreateRequest { fork: Some(fork), ..text_stream() }).await.unwrap();
    append(&before, "b", "+own").await.unwrap();
    before.delete(&path("a")).await.unwrap();

    let after = open(&store);
    assert_eq!(seen(&after, "b").await.unwrap(), "shared+own");
    assert!(matches!(seen(&after, "a").await, Err(Error::Refused(Refusal::Deleted { .. }))));
    after.delete(&path("b")).await.unwrap();
    assert!(matches!(seen(&after, "a").await, Err(Error::Refused(Refusal::NotFound { .. }))));
    let last = open(&store);
    assert_eq!(last.with_ledger(|ledger, _| ledger.streams_count()), 0);
    assert_eq!(content_bytes(&last), 0);
}

#[tokio::test]
async fn a_name_that_is_used_again_never_has_the_tag_of_its_former_life() {
    let store = Arc::new(MemoryStore::default());
    let streams = open(&store);
    create(&streams, "a", &text_stream()).await.unwrap();
    let first = streams.describe(&path("a")).unwrap().life;
    streams.delete(&path("a")).await.unwrap();
    create(&streams, "a", &text_stream()).await.unwrap();
    let second = streams.describe(&path("a")).unwrap().life;
    assert!(second > first);
    assert_eq!(open(&store).describe(&path("a")).unwrap().life, second);
}

#[tokio::test]
async fn a_damaged_entry_is_told_with_the_name_of_the_stream() {
    let store = Arc::new(MemoryStore::default());
    let mut batch = crate::store::Batch::default();
    batch.put(crate::store::Table("streams"), "a/b".into(), "{\"log\":".into());
    store.commit(batch).unwrap();
    let refused = Streams::open(config(), store).err().unwrap().to_string();
    assert!(refused.contains("a/b"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_ends_no_stream_early() {
    let store = Arc::new(MemoryStore::default());
    let before = open(&store);
    create(&before, "a", &idle_stream(10)).await.unwrap();
    let after = open(&store);
    assert!(seen(&after, "a").await.is_ok());
}
