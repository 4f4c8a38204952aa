//! Tests of `stream` against our own server and against fake servers with failures.

mod damaged;
mod meant;

use std::io::{Read, Write};

use axum::body::{Body, Bytes};
use axum::http::Response;
use futures_util::{StreamExt, stream};
use tempfile::TempDir;

use super::super::eventually::pause;
use super::super::stage::reserve_address;
use super::program::{Finished, Running, exorelay};
use super::sidecar::{Call, Sidecar, answer, unused_address};

const JSON: (&str, &str) = ("content-type", "application/json");
const TEXT: (&str, &str) = ("content-type", "text/plain");
const UP_TO_DATE: (&str, &str) = ("stream-up-to-date", "true");

/// Our own server, with its URL.
struct Streams {
    _server: Running,
    url: String,
}

impl Streams {
    fn start() -> Self {
        let mut server = exorelay(&["streams", "--listen", "127.0.0.1:0"]).start();
        let ready = server.line();
        let address = ready.split("\"address\":\"").nth(1).unwrap().trim_end_matches("\"}").to_owned();
        Self { _server: server, url: format!("http://{address}/v1/stream") }
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        stream_command(&self.url, arguments, "")
    }

    /// Runs a command that must succeed, and returns its stdout.
    fn succeed(&self, arguments: &[&str]) -> String {
        let finished = self.run(arguments);
        assert_eq!(finished.code, Some(0), "{arguments:?}: {finished:?}");
        finished.stdout
    }
}

fn stream_command(url: &str, arguments: &[&str], stdin: &str) -> Finished {
    exorelay(&[&["stream"], arguments, &["--url", url]].concat()).stdin(stdin).finish()
}

/// Returns the root URL of a fake server.
fn root(server: &Sidecar) -> String {
    format!("{}/s", server.url())
}

/// Returns a body that breaks off after these bytes.
fn broken(bytes: &'static str) -> Body {
    let first = stream::iter([Ok(Bytes::from_static(bytes.as_bytes()))]);
    let broken = stream::once(async {
        pause(20).await;
        Err(std::io::Error::other("this connection breaks"))
    });
    Body::from_stream(first.chain(broken))
}

fn head(content_type: (&'static str, &str)) -> Response<Body> {
    answer(200, &[content_type, ("stream-next-offset", "7")], "")
}

#[test]
fn a_stream_can_be_created_appended_read_forked_closed_and_removed() {
    let streams = Streams::start();
    let name = "an order?/ä";
    let url = streams.succeed(&["create", name, "--type", "application/json"]);
    assert_eq!(url, format!("{}/an%20order%3F/%C3%A4\n", streams.url));
    streams.run(&["create", name, "--type", "application/json"]).check(0, "an identical stream exists: nothing to do");
    let end = streams.succeed(&["append", name, "[1.50, {\"a\": [2]}]"]);
    assert_eq!(streams.succeed(&["append", url.trim(), "\"three\""]).len(), end.len());
    assert_eq!(streams.succeed(&["read", name]), "1.50\n{\"a\": [2]}\n\"three\"\n");
    for flag in ["--from", "--offset"] {
        assert_eq!(streams.succeed(&["read", name, flag, end.trim()]), "\"three\"\n");
    }
    streams.succeed(&["create", "copy", "--fork-from", name, "--fork-offset", end.trim()]);
    assert_eq!(streams.succeed(&["read", "copy"]), "1.50\n{\"a\": [2]}\n");
    streams.succeed(&["close", name]);
    streams.run(&["append", name, "4"]).check(1, "is closed at");
    let listed = streams.succeed(&["ls"]);
    let line = listed.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(line.contains("application/json") && line.ends_with("closed"), "{listed}");
    streams.succeed(&["rm", name, "copy"]);
    assert_eq!(streams.succeed(&["ls", "an"]), "");
    streams.run(&["rm", "__registry__"]).check(1, "the server's own");
}

#[test]
fn large_input_is_split_into_appends_and_read_back_unchanged() {
    let streams = Streams::start();
    let text: String = (0..300_000).map(|number| format!("{number}\r\n")).collect();
    assert!(text.len() > 2 * 1024 * 1024);
    streams.succeed(&["create", "log", "--type", "text/plain"]);
    let appended = stream_command(&streams.url, &["append", "log", "-"], &text);
    assert_eq!(appended.code, Some(0), "{appended:?}");
    assert!(streams.succeed(&["read", "log"]) == text);
}

#[test]
fn lines_become_messages_and_a_repeated_import_is_deduplicated() {
    let streams = Streams::start();
    streams.succeed(&["create", "orders", "--type", "application/json"]);
    let lines: String = (0..2_500).map(|number| format!("{{\"id\":{number}}}\n")).collect();
    let import = ["append", "orders", "-", "--lines", "--producer-id", "import-7"];
    stream_command(&streams.url, &import, &lines).check(0, "");
    assert_eq!(streams.succeed(&["read", "orders"]), lines);
    stream_command(&streams.url, &import, &lines).check(0, "3 of 3 appends had already been made");
    assert_eq!(streams.succeed(&["read", "orders"]), lines);
    assert_eq!(stream_command(&streams.url, &["append", "orders", "-", "--lines"], "\n").code, Some(0));
    stream_command(&streams.url, &["append", "orders", "-"], "").check(64, "the payload on stdin is not valid");
    let refused = stream_command(&streams.url, &["append", "orders", "-", "--lines"], "1\n{\n");
    refused.check(64, "exorelay: line 2 is not valid JSON; none of the lines in its batch were appended");
}

#[test]
fn an_append_is_retried_with_the_same_sequence_number() {
    let server = Sidecar::start(|call: &Call, before| match (call.line.as_str(), before) {
        ("HEAD /s/a", _) => head(TEXT),
        (_, 1) => answer(503, &[], ""),
        (_, 2) => answer(429, &[("retry-after", "0")], ""),
        _ => answer(200, &[("stream-next-offset", "12")], ""),
    });
    let finished = stream_command(&root(&server), &["append", "a", "hello"], "");
    finished.check(0, "12\n");
    let appends: Vec<Call> = server.calls().into_iter().skip(1).collect();
    assert!(appends.len() >= 3, "{appends:?}");
    for append in &appends {
        assert_eq!((append.line.as_str(), append.body.as_str()), ("POST /s/a", "hello"));
        assert!(append.headers.contains(&"producer-seq: 0".to_owned()), "{append:?}");
        assert!(append.headers.contains(&TEXT_HEADER.to_owned()));
    }
    let ids: Vec<&String> =
        appends.iter().flat_map(|it| &it.headers).filter(|it| it.starts_with("producer-id")).collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
}

const TEXT_HEADER: &str = "content-type: text/plain";

#[test]
fn a_refusal_is_printed_with_its_detail_and_not_retried() {
    for (status, body, words) in [
        (409, "{\"detail\":\"the stream a is closed\"}", "exorelay: the stream a is closed\n"),
        (403, "Not for you", "/s/a answered 403 Forbidden: Not for you\n"),
        (507, "", "/s/a answered 507 Insufficient Storage\n"),
    ] {
        let server = Sidecar::start(move |_, _| answer(status, &[], body));
        stream_command(&root(&server), &["read", "a"], "").check(1, words);
        assert_eq!(server.calls().len(), 1);
    }
}

#[test]
fn a_read_continues_to_the_end_and_resumes_after_a_broken_connection() {
    let server = Sidecar::start(|call: &Call, before| match (call.line.as_str(), before) {
        ("GET /s/a?offset=-1", 0) => Response::builder().header(JSON.0, JSON.1).body(broken("[1, {\"a\":")).unwrap(),
        ("GET /s/a?offset=-1", _) => answer(200, &[JSON, ("stream-next-offset", "5")], "[1, {\"a\":2},3]"),
        ("GET /s/a?offset=5", _) => answer(200, &[JSON, ("stream-next-offset", "6"), UP_TO_DATE], "[4]"),
        (line, _) => panic!("{line}"),
    });
    let finished = stream_command(&root(&server), &["read", "a"], "");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "1\n{\"a\":2}\n3\n4\n"), "{finished:?}");
    assert!(finished.stderr.contains("): resuming"), "{finished:?}");
}

#[test]
fn closing_stdout_ends_a_read_without_an_error() {
    let server = Sidecar::start(|_, before| {
        let next = (before + 1).to_string();
        answer(200, &[TEXT, ("stream-next-offset", &next)], "x".repeat(100_000))
    });
    let mut reading = exorelay(&["stream", "read", "a", "--url", &root(&server)]).start();
    let mut first = [0; 10];
    let mut stdout = reading.stdout();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let finished = reading.finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
}

fn sse(headers: &[(&'static str, &str)], body: &'static str) -> Response<Body> {
    answer(200, &[&[("content-type", "text/event-stream")], headers].concat(), body)
}

#[test]
fn a_follower_resumes_at_its_last_offset_and_prints_nothing_twice() {
    let server = Sidecar::start(|call: &Call, before| match (call.line.as_str(), before) {
        ("HEAD /s/a", _) => head(JSON),
        // The offset after the second event is missing, so the event is sent again.
        ("GET /s/a?live=sse&offset=-1", _) => sse(
            &[],
            "event: data\ndata:[1]\n\nevent: control\ndata:{\"streamNextOffset\":\"3\",\"streamCursor\":\"9\"}\n\n\
             event: data\ndata:[2]\n\n",
        ),
        ("GET /s/a?cursor=9&live=sse&offset=3", 2) => answer(503, &[], ""),
        ("GET /s/a?cursor=9&live=sse&offset=3", _) => sse(
            &[],
            "event: data\ndata:[2,\ndata: 3]\n\nevent: control\ndata:{\"streamNextOffset\":\"7\",\"streamClosed\":true}\n\n",
        ),
        (line, _) => panic!("{line}"),
    });
    let finished = stream_command(&root(&server), &["follow", "a"], "");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "1\n2\n3\n"), "{finished:?}");
}

#[test]
fn base64_events_are_decoded() {
    let server = Sidecar::start(|call: &Call, _| match call.line.as_str() {
        "HEAD /s/a" => head(("content-type", "application/octet-stream")),
        _ => sse(
            &[("stream-sse-data-encoding", "base64")],
            "event: data\ndata:IGhl\n\nevent: data\ndata:bGxvDQo=\n\n\
             event: control\ndata:{\"streamNextOffset\":\"7\",\"streamClosed\":true}\n\n",
        ),
    });
    assert_eq!(stream_command(&root(&server), &["follow", "a"], "").stdout, " hello\r\n");
}

#[test]
fn a_server_without_sse_is_followed_by_long_polling() {
    let server = Sidecar::start(|call: &Call, before| match (call.line.as_str(), before) {
        ("HEAD /s/a", _) => head(JSON),
        ("GET /s/a?live=sse&offset=7", _) => answer(400, &[], "live must be long-poll"),
        ("GET /s/a?live=long-poll&offset=7", _) => {
            answer(200, &[JSON, ("stream-next-offset", "8"), ("stream-cursor", "1")], "[1]")
        }
        ("GET /s/a?cursor=1&live=long-poll&offset=8", 3) => {
            answer(204, &[("stream-next-offset", "8"), ("stream-cursor", "2")], "")
        }
        ("GET /s/a?cursor=2&live=long-poll&offset=8", _) => {
            answer(200, &[JSON, ("stream-next-offset", "9"), ("stream-closed", "true")], "[2]")
        }
        (line, _) => panic!("{line}"),
    });
    let finished = stream_command(&root(&server), &["follow", "a", "--from", "now"], "");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "1\n2\n"), "{finished:?}");
}

#[test]
fn a_follower_prints_new_data_until_the_stream_is_closed() {
    let streams = Streams::start();
    for (name, content_type) in [("messages", "application/json"), ("text", "text/plain"), ("bytes", "image/png")] {
        streams.succeed(&["create", name, "--type", content_type]);
        streams.succeed(&["append", name, "1"]);
        let mut following = exorelay(&["stream", "follow", name, "--url", &streams.url]).start();
        let first = match content_type {
            "application/json" => following.line(),
            _ => {
                let mut stdout = following.stdout();
                let mut first = [0; 1];
                stdout.read_exact(&mut first).unwrap();
                streams.succeed(&["append", name, " 2\r\n"]);
                streams.succeed(&["close", name]);
                let mut rest = String::new();
                stdout.read_to_string(&mut rest).unwrap();
                assert_eq!(rest, " 2\r\n", "{name}");
                String::from_utf8(first.to_vec()).unwrap()
            }
        };
        assert_eq!(first, "1");
        if content_type == "application/json" {
            streams.succeed(&["append", name, "[2,3]"]);
            assert_eq!((following.line(), following.line()), ("2".to_owned(), "3".to_owned()));
            streams.succeed(&["close", name]);
        }
        assert_eq!(following.finish().code, Some(0));
    }
}

#[test]
fn control_c_ends_a_follower_cleanly() {
    let streams = Streams::start();
    streams.succeed(&["create", "a", "--type", "application/json"]);
    streams.succeed(&["append", "a", "1"]);
    let mut following = exorelay(&["stream", "follow", "a", "--url", &streams.url]).start();
    assert_eq!(following.line(), "1");
    following.interrupt();
    let finished = following.finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
}

#[test]
fn the_configured_address_is_the_default_url() {
    let streams = Streams::start();
    let address = streams.url.strip_prefix("http://").unwrap().strip_suffix("/v1/stream").unwrap();
    let created = exorelay(&["stream", "create", "a"]).env("EXORELAY__STREAMS__ADDRESS", address).finish();
    created.check(0, &format!("{}/a", streams.url));
}

#[test]
fn a_missing_server_or_registry_is_an_error() {
    let away = format!("http://{}/v1/stream", unused_address());
    stream_command(&away, &["read", "a"], "").check(1, "start a server with `exorelay streams` or give --url");
    let without = Sidecar::start(|_, _| answer(404, &[], ""));
    stream_command(&root(&without), &["ls"], "").check(1, "has no registry");
    stream_command("ftp://localhost", &["ls"], "").check(64, "is not the URL of a stream");
    for flag in ["--file", "--from"] {
        stream_command(&away, &["append", "a", flag, "no such file"], "").check(1, "cannot read no such file");
    }
}

#[test]
fn slow_input_lines_are_appended_at_once() {
    let streams = Streams::start();
    streams.succeed(&["create", "log", "--type", "application/json"]);
    let mut following = exorelay(&["stream", "follow", "log", "--url", &streams.url]).start();
    let mut import = exorelay(&["stream", "append", "log", "--lines", "--url", &streams.url]).start_open();
    let mut stdin = import.stdin();
    stdin.write_all(b"1\n").unwrap();
    stdin.flush().unwrap();
    assert_eq!(following.line(), "1");
    stdin.write_all(b"2").unwrap();
    drop(stdin);
    assert_eq!(import.finish().code, Some(0));
    assert_eq!(streams.succeed(&["read", "log"]), "1\n2\n");
}

/// Starts a server with a data directory; dropping it kills it.
fn durable_server(address: &str, folder: &TempDir) -> Running {
    let folder = folder.path().to_str().unwrap();
    let mut server = exorelay(&["streams", "--listen", address, "--data-dir", folder]).start();
    server.line();
    server
}

#[test]
fn followers_imports_and_the_registry_survive_a_killed_server() {
    let (folder, address) = (tempfile::tempdir().unwrap(), reserve_address());
    let url = format!("http://{address}/v1/stream");
    let succeed = |arguments: &[&str], stdin: &str| {
        let finished = stream_command(&url, arguments, stdin);
        assert_eq!(finished.code, Some(0), "{arguments:?}: {finished:?}");
        finished.stdout
    };
    let server = durable_server(&address, &folder);
    let kinds = [("messages", "application/json"), ("text", "text/plain")];
    let mut followers = kinds.map(|(name, content_type)| {
        succeed(&["create", name, "--type", content_type], "");
        succeed(&["append", name, "-", "--lines"], "1\n2\n");
        let mut following = exorelay(&["stream", "follow", name, "--url", &url]).start();
        assert_eq!((following.line(), following.line()), ("1".to_owned(), "2".to_owned()));
        following
    });
    let mut import = exorelay(&["stream", "append", "messages", "--lines", "--url", &url]).start_open();
    let mut stdin = import.stdin();
    stdin.write_all(b"3\n").unwrap();
    assert_eq!(followers[0].line(), "3");
    drop(server);
    stdin.write_all(b"4\n").unwrap();
    drop(stdin);
    let _server = durable_server(&address, &folder);
    assert_eq!(import.finish().code, Some(0));
    succeed(&["append", "text", "-"], "4\n");
    assert_eq!(followers.each_mut().map(Running::line), ["4", "4"]);
    assert_eq!(succeed(&["read", "messages"], ""), "1\n2\n3\n4\n");
    assert_eq!(succeed(&["ls"], "").lines().count(), 3, "two streams and the registry");
    for ((name, _), following) in kinds.iter().zip(followers) {
        succeed(&["close", name], "");
        let finished = following.finish();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), ""), "{finished:?}");
    }
}
