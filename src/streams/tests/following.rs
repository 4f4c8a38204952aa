//! Following streams: what wakes a follower, and where it continues.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::world::{append, config, create, get, path, text, text_stream, until};
use crate::http::{Limits, Listening};
use crate::streams::{AppendRequest, Begin, Config, Offset, Streams, router};

async fn next_events(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.unwrap().into_data().unwrap();
    Some(String::from_utf8(frame.to_vec()).unwrap())
}

async fn live(config: Config) -> (Streams, Body) {
    let streams = Streams::in_memory(config);
    create(&streams, "a", &text_stream()).await.unwrap();
    let mut body = get(&streams, "/v1/stream/a?offset=-1&live=sse").await.into_body();
    assert!(next_events(&mut body).await.unwrap().contains("\"upToDate\":true"));
    (streams, body)
}

#[tokio::test]
async fn data_and_close_come_together_and_end_the_events() {
    let (streams, mut body) = live(config()).await;
    let (path, last) = (path("a"), AppendRequest { closed: true, ..text() });
    let (events, appended) =
        tokio::join!(next_events(&mut body), streams.append(&path, &last, Bytes::from_static(b"end")));
    appended.unwrap();
    let events = events.unwrap();
    let id = format!("id: {}", streams.describe(&path).unwrap().next);
    assert!(events.starts_with(&format!("event: data\ndata:end\n{id}\n\nevent: control\ndata:{{")), "{events}");
    assert!(events.ends_with(&format!("\n{id}\n\n")), "{events}");
    assert!(events.contains("\"streamClosed\":true") && !events.contains("streamCursor"), "{events}");
    assert_eq!(next_events(&mut body).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_after_its_lifetime_with_the_offset_to_continue_at() {
    let (streams, mut body) = live(Config { sse_lifetime_ms: 2_000, ..config() }).await;
    append(&streams, "a", "x").await.unwrap();
    assert!(next_events(&mut body).await.unwrap().contains("data:x"));
    let last = next_events(&mut body).await.unwrap();
    assert!(last.contains("_0000000000000001\",\"streamCursor\""), "{last}");
    assert_eq!(next_events(&mut body).await, None);
}

#[tokio::test]
async fn a_drain_ends_events_with_a_control_event_and_answers_long_polls() {
    let (streams, mut body) = live(config()).await;
    let poll = get(&streams, "/v1/stream/a?offset=now&live=long-poll");
    let drain = async {
        until("the long-poll waits", || streams.metrics().live_readers.get() == 2).await;
        streams.drain();
    };
    let (answer, ()) = tokio::join!(poll, drain);
    assert_eq!((answer.status().as_u16(), &answer.headers()["stream-up-to-date"]), (204, &"true".parse().unwrap()));
    assert!(next_events(&mut body).await.unwrap().starts_with("event: control\n"));
    assert_eq!(next_events(&mut body).await, None);
    assert!(append(&streams, "a", "x").await.is_err(), "nothing new is accepted");
    drop(body);
    assert_eq!(streams.metrics().live_readers.get(), 0);
}

#[tokio::test]
async fn deleting_a_stream_ends_every_wait_for_it() {
    let (streams, mut body) = live(config()).await;
    let poll = get(&streams, "/v1/stream/a?offset=now&live=long-poll");
    let delete = async {
        until("the long-poll waits", || streams.metrics().live_readers.get() == 2).await;
        streams.delete(&path("a")).await.unwrap();
    };
    let (answer, ()) = tokio::join!(poll, delete);
    assert_eq!(answer.status(), 404);
    let last = next_events(&mut body).await.unwrap();
    assert!(last.starts_with("event: control\n") && last.contains("\"streamDeleted\":true"), "{last}");
    assert_eq!(next_events(&mut body).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_after_its_timeout_with_the_offset_to_continue_at() {
    let streams = Streams::in_memory(Config { long_poll_timeout_ms: 700, ..config() });
    create(&streams, "a", &text_stream()).await.unwrap();
    let began = tokio::time::Instant::now();
    let answer = get(&streams, "/v1/stream/a?offset=-1&live=long-poll").await;
    assert_eq!((answer.status().as_u16(), began.elapsed()), (204, Duration::from_millis(700)));
    assert_eq!(answer.headers()["stream-next-offset"], Offset::START.to_string().as_str());
    assert_eq!(answer.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn a_reader_gets_no_more_than_its_bound_and_no_torn_append() {
    let streams = Streams::in_memory(Config { read_bytes_max: 10, ..config() });
    create(&streams, "a", &text_stream()).await.unwrap();
    for body in ["12345678", "9", "abc", "longer than ten bytes"] {
        append(&streams, "a", body).await.unwrap();
    }
    let (mut from, mut parts) = ("-1".to_owned(), Vec::new());
    loop {
        let answer = get(&streams, &format!("/v1/stream/a?offset={from}")).await;
        let up_to_date = answer.headers().contains_key("stream-up-to-date");
        from = answer.headers()["stream-next-offset"].to_str().unwrap().to_owned();
        let part = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        parts.push(String::from_utf8(part.to_vec()).unwrap());
        if up_to_date {
            break;
        }
    }
    assert_eq!(parts, ["123456789", "abc", "longer than ten bytes"]);
}

#[tokio::test]
async fn a_slow_reader_of_events_holds_one_batch_and_loses_nothing() {
    let (streams, mut body) = live(Config { event_bytes_max: 4, ..config() }).await;
    for _ in 0..50 {
        append(&streams, "a", "ab").await.unwrap();
    }
    let (mut bytes, era) = (0, streams.describe(&path("a")).unwrap().next.era());
    while bytes < 100 {
        let events = next_events(&mut body).await.unwrap();
        bytes += 4;
        let data = format!("event: data\ndata:abab\nid: {}\n\nevent: control\n", Offset::at(era, bytes));
        assert!(events.trim_start_matches("retry: 1000\n").starts_with(&data), "{events}");
        assert_eq!(events.contains("upToDate"), bytes == 100);
    }
}

#[tokio::test]
async fn readers_of_every_kind_go_on_where_an_event_of_text_ended_inside_an_append() {
    let streams = Streams::in_memory(config());
    create(&streams, "a", &text_stream()).await.unwrap();
    for part in [&b"caf\xc3"[..], b"\xa9\r", b"\n!"] {
        streams.append(&path("a"), &text(), Bytes::from_static(part)).await.unwrap();
    }
    let era = streams.describe(&path("a")).unwrap().next.era();
    // Elsewhere inside an append, they get the whole of it.
    for (position, expected) in [(1, "café\r\n!"), (3, "é\r\n!"), (4, "\u{a9}"), (5, "\r\n!"), (7, "\n!")] {
        let at = Offset::at(era, position);
        let mut body = get(&streams, &format!("/v1/stream/a?offset={at}&live=sse")).await.into_body();
        let events = next_events(&mut body).await.unwrap();
        let lines: Vec<&str> = events.split("\n\n").next().unwrap().lines().collect();
        let data: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("data:")).collect();
        for live in ["", "&live=long-poll"] {
            let answer = get(&streams, &format!("/v1/stream/a?offset={at}{live}")).await;
            let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            match std::str::from_utf8(&bytes) {
                Ok(read) => {
                    assert_eq!(read, expected, "{position} {live}");
                    assert_eq!(data.join("\n"), expected.replace("\r\n", "\n"), "{position}");
                }
                // It begins inside the character.
                Err(_) => assert_eq!((position, &bytes[..]), (4, &b"\xa9\r\n!"[..])),
            }
        }
    }
}

#[tokio::test]
async fn any_offset_of_this_life_is_answered_and_one_of_another_is_gone() {
    let streams = Streams::in_memory(config());
    create(&streams, "a", &text_stream()).await.unwrap();
    append(&streams, "a", "abc").await.unwrap();
    let end = append(&streams, "a", "de").await.unwrap().next;
    let read = async |era, position| {
        let answer = get(&streams, &format!("/v1/stream/a?offset={}", Offset::at(era, position))).await;
        let (status, next) = (answer.status().as_u16(), answer.headers().get("stream-next-offset").cloned());
        assert!(status == 410 || next.unwrap() == end.to_string().as_str());
        (status, String::from_utf8(to_bytes(answer.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap())
    };
    for (position, expected) in [(0, "abcde"), (1, "abcde"), (2, "abcde"), (3, "de"), (4, "de"), (5, ""), (99, "")] {
        assert_eq!(read(end.era(), position).await, (200, expected.to_owned()), "{position}");
    }
    assert_eq!(read(0, 0).await.0, 200, "the start of every life");
    for (era, position) in [(0, 1), (0, 5), (end.era() - 1, 3), (end.era() + 1, 3)] {
        let (status, problem) = read(era, position).await;
        assert!(status == 410 && problem.contains("deleted and made again"), "{era} {position}: {problem}");
    }
}

#[tokio::test]
async fn readers_of_one_stream_are_not_woken_by_another() {
    let streams = Streams::in_memory(config());
    create(&streams, "a", &text_stream()).await.unwrap();
    create(&streams, "b", &text_stream()).await.unwrap();
    let reader = streams.read(&path("a"), Begin::Now).unwrap();
    let mut more = std::pin::pin!(reader.more());
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let mut context = Context::from_waker(&waker);
    assert!(more.as_mut().poll(&mut context).is_pending());
    append(&streams, "b", "x").await.unwrap();
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
    append(&streams, "a", "x").await.unwrap();
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert!(more.as_mut().poll(&mut context).is_ready());
}

/// Counts the wake-ups of a task.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_reader_that_stops_reading_is_disconnected() {
    let streams = Streams::in_memory(config());
    create(&streams, "a", &text_stream()).await.unwrap();
    let limits = Limits { write_timeout_ms: 300, ..Limits::default() };
    let listening = Listening::bind("test", "127.0.0.1:0").await.unwrap();
    let address = listening.address();
    let serving = listening.serve(router(streams.clone()), &limits);
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = "GET /v1/stream/a?offset=-1&live=sse HTTP/1.1\r\nhost: localhost\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    until("it follows the stream", || streams.metrics().live_readers.get() == 1).await;
    // More than the system buffers for a connection.
    let body = Bytes::from(vec![b'x'; 1024 * 1024]);
    for _ in 0..32 {
        streams.append(&path("a"), &text(), body.clone()).await.unwrap();
    }
    until("it is disconnected", || streams.metrics().live_readers.get() == 0).await;
    drop(socket);
    assert!(serving.drain(Duration::from_secs(5)).await);
}
