//! Text in server-sent events: byte for byte what a read of the same stream returns, for the official client as for a page.

use axum::body::Body;
use axum::http::{Request, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::BodyExt;
use tower_service::Service;

use super::world::{config, path};
use crate::http::sse::Decoder;
use crate::streams::{AppendRequest, Begin, Config, ContentType, CreateRequest, Streams, router};

const NAME: &str = "notes";

async fn append(streams: &Streams, body: &[u8], closed: bool) {
    let content_type = streams.describe(&path(NAME)).unwrap().content_type;
    let request = AppendRequest { content_type: Some(content_type), closed, ..AppendRequest::default() };
    streams.append(&path(NAME), &request, Bytes::copy_from_slice(body)).await.unwrap();
}

async fn stream(content_type: &str, settings: Config) -> Streams {
    let streams = Streams::in_memory(settings);
    let request = CreateRequest { content_type: ContentType::parse(content_type), ..CreateRequest::default() };
    streams.create(&path(NAME), &request, Bytes::new()).await.unwrap();
    streams
}

/// A client that follows as the official one does: it goes on at the last offset, and reads the header of each connection.
struct Client {
    streams: Streams,
    offset: String,
    body: Option<(Body, bool)>,
    got: Vec<u8>,
    is_over: bool,
}

impl Client {
    fn of(streams: &Streams) -> Self {
        Self { streams: streams.clone(), offset: "-1".into(), body: None, got: Vec::new(), is_over: false }
    }

    async fn connect(&mut self) -> (Body, bool) {
        let target = format!("/v1/stream/{NAME}?offset={}&live=sse", self.offset);
        let request = Request::get(target).body(Body::empty()).unwrap();
        let answer: Response<Body> = router(self.streams.clone()).call(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let is_base64 = answer.headers().get("stream-sse-data-encoding").is_some();
        (answer.into_body(), is_base64)
    }

    /// Reads until it is up to date.
    async fn catch_up(&mut self) {
        for _ in 0..20 {
            let (mut body, is_base64) = match self.body.take() {
                Some(connected) => connected,
                None => self.connect().await,
            };
            let Some(frame) = body.frame().await else { continue };
            let frame = frame.unwrap().into_data().unwrap();
            let mut is_up_to_date = false;
            for event in Decoder::default().push(&frame).unwrap() {
                match (event.name.as_str(), is_base64) {
                    ("data", true) => self.got.extend(STANDARD.decode(event.data).unwrap()),
                    ("data", false) => self.got.extend(event.data.as_bytes()),
                    _ => {
                        let control: serde_json::Value = serde_json::from_str(&event.data).unwrap();
                        self.offset = control["streamNextOffset"].as_str().unwrap().to_owned();
                        is_up_to_date = control["upToDate"] == true;
                        self.is_over = control["streamClosed"] == true;
                    }
                }
            }
            self.body = Some((body, is_base64));
            if is_up_to_date {
                return;
            }
        }
        panic!("it never gets up to date: {:?}", self.got);
    }
}

/// Appends the parts to an open stream, closes it, and expects the same bytes live, in a catch-up, and from a read.
async fn check(content_type: &str, parts: &[&[u8]]) {
    for settings in [config(), Config { event_bytes_max: 1, ..config() }] {
        let streams = stream(content_type, settings).await;
        let mut live = Client::of(&streams);
        live.catch_up().await;
        for part in parts {
            append(&streams, part, false).await;
            live.catch_up().await;
        }
        append(&streams, b"", true).await;
        while !live.is_over {
            live.catch_up().await;
        }
        let mut late = Client::of(&streams);
        while !late.is_over {
            late.catch_up().await;
        }
        let read = streams.read(&path(NAME), Begin::Start).unwrap().take(usize::MAX).await.unwrap().chunks.concat();
        assert_eq!(read, parts.concat());
        // Events have one kind of line break.
        let lines = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>().replace("\r\n", "\n");
        assert_eq!(lines(&live.got), lines(&read), "live: {parts:?}");
        assert_eq!(lines(&late.got), lines(&read), "late: {parts:?}");
    }
}

#[tokio::test]
async fn blanks_at_the_beginning_are_kept() {
    check("text/plain", &[b" a\n", b"  b", b" ", b"\tc\n \n"]).await;
}

#[tokio::test]
async fn a_character_that_is_split_over_appends_arrives_whole() {
    check("text/plain; charset=utf-8", &[b"caf\xc3", b"\xa9 ", b"\xf0", b"\x9f\x98", b"\x80", b"!"]).await;
}

#[tokio::test]
async fn a_line_break_that_is_split_over_appends_is_one() {
    check("text/plain", &[b"a\r", b"\nb\r", b"\n\r", b"\n"]).await;
}

#[tokio::test]
async fn text_of_another_charset_arrives_as_its_bytes() {
    check("text/plain; charset=iso-8859-1", &[b"caf\xe9", b"\r", b" \xff"]).await;
}

#[tokio::test]
async fn what_events_cannot_hold_as_text_arrives_as_its_bytes() {
    check("text/plain", &[b"a", b"50%\r", b"100%\n", b"\xff", b"b"]).await;
    check("text/plain", &[b"caf\xc3", b"!"]).await;
    check("text/plain; charset=utf-8", &[b"\xa9 begins inside", b" a character"]).await;
}

#[tokio::test]
async fn a_stream_that_ends_inside_a_character_or_a_line_break_is_whole() {
    check("text/plain", &[b"caf\xc3"]).await;
    check("text/plain", &[b"a", b"\r"]).await;
}
