//! A single writer whose connection is served by a worker makes its own commits.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::{config, content_bytes, create, seen, text_stream, until};
use crate::http::{Client, ClientLimits, Limits, Listening, Serving, Workers};
use crate::store::test_store::{OnCommit, TestStore};
use crate::streams::{Streams, routes};

const WRITER: &str = "streams-writer";

/// A server with workers, on a store that blocks, with the stream `a`.
struct Server {
    streams: Streams,
    store: Arc<TestStore>,
    serving: Serving,
}

impl Server {
    async fn start(workers: usize) -> Self {
        let store = TestStore::new();
        let streams = Streams::open(config(), store.clone()).unwrap();
        create(&streams, "a", &text_stream()).await.unwrap();
        let workers = Workers::start(NonZeroUsize::new(workers).unwrap()).unwrap();
        let limits = Limits::default();
        let listening = Listening::bind("listen", "127.0.0.1:0").await.unwrap();
        let serving = listening.serve_with(workers, routes::server(streams.clone(), &limits), &limits);
        Self { streams, store, serving }
    }

    /// The thread that made the last commit.
    fn last_thread(&self) -> String {
        self.store.threads().pop().unwrap()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.serving.address()).await.unwrap()
    }

    /// A client with one connection, as long as it makes one call at a time.
    fn client(&self) -> Connection {
        let time = Duration::from_secs(10);
        let limits = ClientLimits { connect_timeout: time, timeout: time, answer_bytes_max: 1024 };
        let url = format!("http://{}/v1/stream/a", self.serving.address());
        Connection { client: Client::new(limits), url }
    }
}

#[derive(Clone)]
struct Connection {
    client: Client,
    url: String,
}

impl Connection {
    async fn call(&self, method: Method, body: &'static str) -> StatusCode {
        let request = Request::builder().method(method).uri(&self.url).header("content-type", "text/plain");
        self.client.call(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap().status
    }

    async fn append(&self, body: &'static str) {
        assert_eq!(self.call(Method::POST, body).await, StatusCode::NO_CONTENT);
    }

    /// Appends often enough to count as the single writer.
    async fn append_often(&self) {
        for _ in 0..8 {
            self.append("x").await;
        }
    }
}

#[tokio::test]
async fn a_single_writer_commits_on_its_worker_until_another_connection_asks_that_worker() {
    let server = Server::start(1).await;
    let (writer, other) = (server.client(), server.client());
    writer.append("x").await;
    assert_eq!(server.last_thread(), WRITER);
    writer.append_often().await;
    assert_eq!(server.last_thread(), "worker-1");
    assert_eq!(writer.call(Method::GET, "").await, StatusCode::OK);
    writer.append("x").await;
    assert_eq!(server.last_thread(), "worker-1", "its own reads do not count");
    assert_eq!(other.call(Method::GET, "").await, StatusCode::OK);
    writer.append("x").await;
    assert_eq!(server.last_thread(), WRITER, "the other connection is not kept waiting");
    writer.append_often().await;
    assert_eq!(server.last_thread(), "worker-1", "the other connection is quiet again");
    assert_eq!(seen(&server.streams, "a").await.unwrap(), "x".repeat(19));
}

#[tokio::test]
async fn two_writers_commit_on_the_writer_thread() {
    let server = Server::start(2).await;
    let (one, two) = (server.client(), server.client());
    one.append_often().await;
    for _ in 0..20 {
        two.append("x").await;
        one.append("x").await;
        assert_eq!(server.last_thread(), WRITER);
    }
}

#[tokio::test]
async fn what_comes_while_a_single_writer_commits_is_written_next() {
    let server = Server::start(2).await;
    let single = server.client();
    single.append_often().await;
    server.store.on_commit(OnCommit::Hold);
    let commits = server.store.commits();
    let first = tokio::spawn({
        let single = single.clone();
        async move { single.append("1").await }
    });
    until("it is being written", || server.store.commits() > commits).await;
    assert_eq!(server.last_thread(), "worker-1");
    let others: Vec<_> = std::iter::repeat_with(|| server.client()).take(2).collect();
    // One is served by the worker that waits for the store, the other one by the other worker, which is not held up.
    let calls = others.into_iter().map(|other| tokio::spawn(async move { other.append("2").await }));
    let calls: Vec<_> = calls.collect();
    until("one of them waits", || content_bytes(&server.streams) == 10).await;
    assert_eq!(seen(&server.streams, "a").await.unwrap(), "xxxxxxxx");
    server.store.on_commit(OnCommit::Succeed);
    first.await.unwrap();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(seen(&server.streams, "a").await.unwrap(), "xxxxxxxx122");
}

/// Sends a part of a request, and reads nothing.
async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Reads until `count` answers have come.
async fn read_answers(stream: &mut TcpStream, count: usize) {
    let mut read = String::new();
    while read.matches("HTTP/1.1 2").count() < count || !read.ends_with("\r\n\r\n") {
        read.push(char::from(stream.read_u8().await.unwrap()));
    }
}

fn creation(name: usize) -> String {
    format!("PUT /v1/stream/s{name} HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n\r\n")
}

#[tokio::test]
async fn a_single_writer_with_many_requests_at_once_lets_others_in_between() {
    let server = Server::start(1).await;
    let (mut single, mut other) = (server.connect().await, server.connect().await);
    for name in 0..8 {
        send(&mut single, &creation(name)).await;
        read_answers(&mut single, 1).await;
    }
    assert_eq!(server.last_thread(), "worker-1");
    server.store.on_commit(OnCommit::Hold);
    let before = server.store.commits();
    send(&mut single, &(8..24).map(creation).collect::<String>()).await;
    until("the first of them is being written", || server.store.commits() > before).await;
    send(&mut other, "GET /v1/stream/a HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    server.store.on_commit(OnCommit::Succeed);
    read_answers(&mut single, 16).await;
    let threads = server.store.threads();
    assert_eq!(threads[before..before + 2], ["worker-1", WRITER], "it has noticed the other connection: {threads:?}");
    assert_eq!(threads.len(), before + 16);
}

#[tokio::test]
async fn a_writer_is_not_single_while_another_request_of_its_worker_is_open() {
    let server = Server::start(1).await;
    let (writer, mut other) = (server.client(), server.connect().await);
    let head = "POST /v1/stream/a HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\n";
    send(&mut other, head).await;
    writer.append_often().await;
    writer.append_often().await;
    assert_eq!(server.last_thread(), WRITER);
    send(&mut other, "other").await;
    read_answers(&mut other, 1).await;
    writer.append_often().await;
    assert_eq!(server.last_thread(), "worker-1");
}

async fn check_failure(mood: OnCommit) {
    let server = Server::start(1).await;
    let (single, other) = (server.client(), server.client());
    single.append_often().await;
    server.store.on_commit(mood);
    assert_eq!(single.call(Method::POST, "lost").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(server.last_thread(), "worker-1");
    server.store.on_commit(OnCommit::Succeed);
    assert_eq!(other.call(Method::POST, "refused").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(other.call(Method::GET, "").await, StatusCode::OK, "the worker still serves");
    assert_eq!(seen(&server.streams, "a").await.unwrap(), "xxxxxxxx");
}

#[tokio::test]
async fn a_failed_commit_is_reported_to_a_single_writer() {
    check_failure(OnCommit::Fail).await;
    check_failure(OnCommit::Panic).await;
}
