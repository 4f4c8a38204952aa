//! Readers of a deleted stream, slow readers, and many readers.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Method;

use super::client::{Caller, Streams};
use crate::eventually::eventually;
use crate::memory::resident_kib;
use crate::stage::{Raw, raise_file_limit};

const KIND: &str = "application/octet-stream";

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_deleted_stream_end_and_never_see_its_successor() {
    let streams = Streams::start(&[]).await;
    let caller = streams.caller();
    assert_eq!(caller.create("a", "text/plain").await, 201);
    assert_eq!(caller.append("a", "text/plain", b"old life".to_vec()).await, 204);
    let end = caller.read("a", "-1").await.unwrap().1;
    let events = caller.call(Method::GET, "a?offset=-1&live=sse", &[], Vec::new()).await.unwrap();
    let waiting = tokio::spawn({
        let (caller, query) = (caller.clone(), format!("a?offset={end}&live=long-poll"));
        async move { caller.call(Method::GET, &query, &[], Vec::new()).await.unwrap().status().as_u16() }
    });
    followed(&streams, 2).await;
    let deleted = caller.call(Method::DELETE, "a", &[], Vec::new()).await.unwrap();
    assert_eq!(deleted.status(), 204);
    assert_eq!(caller.create("a", "text/plain").await, 201);
    assert_eq!(caller.append("a", "text/plain", b"new life".to_vec()).await, 204);
    assert_eq!(waiting.await.unwrap(), 404);
    let seen = events.text().await.unwrap();
    assert!(seen.contains("old life") && !seen.contains("new life"), "{seen}");
    assert_eq!(caller.read("a", "-1").await.unwrap().0, b"new life");
}

/// Waits until `count` readers follow.
async fn followed(streams: &Streams, count: usize) {
    let url = format!("{}/metrics", streams.process.url("streams"));
    eventually(("followers", count), || async {
        let metrics = crate::stage::get(&url).await.body;
        metrics.contains(&format!("exorelay_streams_live_readers {count}\n")).then_some(())
    })
    .await;
}

/// Number of records appended while the slow readers read nothing.
const UNREAD: usize = 48;
const RECORD: usize = 1024 * 1024;

/// Maximum growth of memory: the memtable, and the buffers of readers.
const GROWTH_KIB_MAX: u64 = 160 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_read_nothing_delay_nobody_and_lose_nothing() {
    let streams = Streams::start(&[]).await;
    let caller = streams.caller();
    assert_eq!(caller.create("a", KIND).await, 201);
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::connect(streams.process.address("streams")).await;
        assert!(raw.send("GET /v1/stream/a?offset=-1&live=sse HTTP/1.1\r\nhost: localhost\r\n\r\n").await);
        slow.push(raw);
    }
    followed(&streams, 20).await;
    let before = resident_kib(streams.process.id());
    for number in 0..UNREAD {
        assert_eq!(caller.append("a", KIND, vec![number as u8; RECORD]).await, 204);
    }
    let grown = resident_kib(streams.process.id()).saturating_sub(before);
    assert!(grown <= GROWTH_KIB_MAX, "grew by {grown} KiB");
    let (content, _) = caller.read("a", "-1").await.unwrap();
    assert!(content.chunks(RECORD).enumerate().all(|(number, record)| record == vec![number as u8; RECORD]));
    assert_eq!(content.len(), UNREAD * RECORD);
    drop(slow);
    followed(&streams, 0).await;
}

/// Maximum growth of memory for a slow reader of everything: a part, and the largest append.
const PART_KIB_MAX: u64 = 4 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_whole_and_a_slow_one_holds_a_part_until_the_stream_is_deleted() {
    let streams = Streams::start(&[]).await;
    let caller = streams.caller();
    assert_eq!(caller.create("a", KIND).await, 201);
    for number in 0..UNREAD {
        assert_eq!(caller.append("a", KIND, vec![number as u8; RECORD]).await, 204);
    }
    let whole = caller.call(Method::GET, "a?offset=-1", &[], Vec::new()).await.unwrap();
    assert_eq!(whole.headers()["stream-up-to-date"], "true");
    assert_eq!(whole.headers()["content-length"], (UNREAD * RECORD).to_string().as_str());
    assert_eq!(whole.bytes().await.unwrap().len(), UNREAD * RECORD);
    let packed = caller.call(Method::GET, "a?offset=-1", &[("accept-encoding", "gzip")], Vec::new()).await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert!(packed.bytes().await.unwrap().len() < RECORD, "these bytes are all the same");

    let before = resident_kib(streams.process.id());
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::connect(streams.process.address("streams")).await;
        assert!(raw.send("GET /v1/stream/a?offset=-1 HTTP/1.1\r\nhost: localhost\r\n\r\n").await);
        slow.push(raw);
    }
    let sends = format!("{}/metrics", streams.process.url("streams"));
    eventually("all of them are sent a part", || async {
        let metrics = crate::stage::get(&sends).await.body;
        let read = metrics.lines().find_map(|line| line.strip_prefix("exorelay_streams_bytes_read_total "));
        (read.and_then(|bytes| bytes.parse::<usize>().ok())? >= (2 * UNREAD + 20) * RECORD).then_some(())
    })
    .await;
    let grown = resident_kib(streams.process.id()).saturating_sub(before);
    assert!(grown <= 20 * PART_KIB_MAX, "grew by {grown} KiB");
    let deleted = caller.call(Method::DELETE, "a", &[], Vec::new()).await.unwrap();
    assert_eq!(deleted.status(), 204);
    let ended = slow.pop().unwrap().answer().await;
    assert!(ended.is_none(), "an answer that is not whole is broken off");
}

const IDLE: usize = 5_000;

/// Maximum memory of one idle follower.
const IDLE_BYTES_MAX: u64 = 32 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_followers_take_little_memory_and_all_get_the_event() {
    raise_file_limit();
    let streams = Streams::start(&[("EXORELAY__STREAMS__SSE_LIFETIME_MS", "600000")]).await;
    let caller = streams.caller();
    assert_eq!(caller.create("a", "text/plain").await, 201);
    let before = resident_kib(streams.process.id());
    let mut followers = Vec::new();
    for _ in 0..IDLE / 100 {
        let opening = (0..100).map(|_| follow(&caller));
        followers.extend(futures_util::future::join_all(opening).await);
    }
    followed(&streams, IDLE).await;
    let each = resident_kib(streams.process.id()).saturating_sub(before) * 1024 / IDLE as u64;
    println!("a follower takes {each} bytes");
    assert!(each <= IDLE_BYTES_MAX, "a follower takes {each} bytes");
    assert_eq!(caller.append("a", "text/plain", b"news".to_vec()).await, 204);
    for mut follower in followers {
        let mut seen = String::new();
        while !seen.contains("data:news") {
            let chunk = tokio::time::timeout(Duration::from_secs(60), follower.next()).await.expect("an event in time");
            seen.push_str(std::str::from_utf8(&chunk.expect("no end").unwrap()).unwrap());
        }
    }
    followed(&streams, 0).await;
}

async fn follow(caller: &Caller) -> impl futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin {
    let answer = caller.call(Method::GET, "a?offset=now&live=sse", &[], Vec::new()).await.unwrap();
    assert_eq!(answer.status(), 200);
    Box::pin(answer.bytes_stream())
}
