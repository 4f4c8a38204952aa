//! A stream is deleted, and created again, under everybody who reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use super::client::{Client, send_raw};
use super::server_on;
use crate::eventually::eventually;
use crate::stage::Process;

const TEXT: &str = "text/plain";

/// Every line of a life tells which one it is.
fn line(life: u64) -> String {
    format!("{life:0>99}\n")
}

/// The lives of which there are lines in a text that may begin and end anywhere.
fn lives_in(text: &str) -> Vec<u64> {
    let lines = text.lines().filter(|line| line.len() == 99);
    let mut lives: Vec<u64> = lines.filter_map(|line| line.parse().ok()).collect();
    lives.dedup();
    lives
}

/// A life of the stream, long enough that it is read in several pieces from pages and the tail.
async fn live(client: &mut Client, life: u64) {
    client.create("s", TEXT).await;
    for _ in 0..4 {
        let many = line(life).repeat(700);
        assert_eq!(client.append("s", TEXT, many.as_bytes()).await.status, 204);
    }
}

/// Follows a path with a request of its own, to the end; gives everything that came.
async fn follow(address: &str, target: &str) -> String {
    let request = format!("GET /v1/stream/{target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let mut connection = send_raw(address, request.as_bytes()).await;
    let mut text = Vec::new();
    // A reset is an end like any other.
    drop(connection.read_to_end(&mut text).await);
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn readers_get_one_life_of_a_stream_and_an_end_when_it_is_deleted() {
    let folder = TempDir::new().unwrap();
    let settings = [
        ("EXORELAY__STREAMS__READ_BYTES_MAX", "70000"),
        ("EXORELAY__STREAMS__EVENT_BYTES_MAX", "70000"),
        ("EXORELAY__STREAMS__LONG_POLL_TIMEOUT_MS", "60000"),
        ("EXORELAY__STREAMS__DURABILITY", "memory"),
    ];
    let server = server_on(&folder, &settings).await;
    let address: Arc<str> = server.address("streams").into();
    let (over, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut readers = Vec::new();
    for target in ["s?offset=-1&live=sse", "s?offset=now&live=sse", "s?offset=now&live=long-poll", "s?offset=-1"] {
        for _ in 0..3 {
            let (address, over, ended) = (Arc::clone(&address), Arc::clone(&over), Arc::clone(&ended));
            readers.push(tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let text = follow(&address, target).await;
                    let lives = lives_in(&text.replace("data:", ""));
                    assert!(lives.len() <= 1, "{target} gave {lives:?}");
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
    }
    let mut client = Client::of(&address);
    for life in 1..60 {
        live(&mut client, life).await;
        let begun = ended.load(Ordering::Relaxed);
        let before = client.read("s", "-1").await.unwrap().content;
        assert_eq!(lives_in(&String::from_utf8(before).unwrap()), [life]);
        assert_eq!(client.call("DELETE", "s", &[], b"").await.status, 204);
        eventually("readers that come to an end", || async {
            (ended.load(Ordering::Relaxed) > begun).then_some(())
        })
        .await;
        assert_eq!(client.read("s", "-1").await.err().unwrap().status, 404);
    }
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        // None is left that waits for a stream that is gone.
        tokio::time::timeout(std::time::Duration::from_secs(20), reader).await.unwrap().unwrap();
    }
    no_reader_is_left(&server).await;
}

async fn no_reader_is_left(server: &Process) {
    let metrics = format!("{}/metrics", server.url("streams"));
    eventually("no live reader", || async {
        let text = crate::stage::get(&metrics).await.body;
        text.contains("exorelay_streams_live_readers 0\n").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_reader_who_comes_back_after_a_deletion_gets_nothing_of_the_old_life() {
    let folder = TempDir::new().unwrap();
    let mut server = server_on(&folder, &[]).await;
    let mut client = Client::of(server.address("streams"));
    live(&mut client, 1).await;
    let whole = client.read("s", "-1").await.unwrap();
    let tag = client.call("GET", "s?offset=-1", &[], b"").await.header("etag").unwrap().to_owned();
    assert_eq!(client.call("DELETE", "s", &[], b"").await.status, 204);
    live(&mut client, 2).await;
    server.kill().await;
    server.revive().await;
    let mut client = Client::of(server.address("streams"));
    let behind = client.read("s", &whole.next).await.unwrap();
    assert_eq!((behind.content.len(), behind.next), (0, whole.next));
    let again = client.call("GET", "s?offset=-1", &[("if-none-match", &tag)], b"").await;
    assert_eq!(again.status, 200, "the tag of another life must not fit");
    assert_eq!(lives_in(&again.text()), [2]);
}
