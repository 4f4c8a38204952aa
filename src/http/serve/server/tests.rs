//! A listener, and clients that come, wait and go.

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::http::live;

/// A listener that answers one request with what the sender sends.
async fn serve_live() -> (Serving, tokio::sync::mpsc::Sender<&'static str>) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let source = stream::poll_fn(move |context| receiver.poll_recv(context)).map(Bytes::from);
    let source = Arc::new(std::sync::Mutex::new(Some(source)));
    let answer = move || std::future::ready(live(source.lock().unwrap().take().unwrap()));
    let router = Router::new().route("/", get(answer));
    let listening = Listening::bind("listen", "127.0.0.1:0").await.unwrap();
    (listening.serve(router, &Limits::default()), sender)
}

async fn ask(serving: &Serving, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(serving.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        read.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(read).unwrap()
}

/// With the clock that tests drive, which jumps to the time at which the server looks for its client.
#[tokio::test(start_paused = true)]
async fn nobody_works_for_a_client_that_has_gone() {
    let (begun, mut working) = tokio::sync::mpsc::channel(1);
    let begun = Arc::new(std::sync::Mutex::new(Some(begun)));
    let answer = move || {
        let begun = begun.lock().unwrap().take().unwrap();
        async move {
            begun.send(()).await.unwrap();
            std::future::pending::<()>().await;
            drop(begun);
        }
    };
    let router = Router::new().route("/", get(answer));
    let serving = Listening::bind("listen", "127.0.0.1:0").await.unwrap().serve(router, &Limits::default());
    let stream = ask(&serving, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(working.recv().await, Some(()));
    drop(stream);
    assert_eq!(working.recv().await, None, "the call is let go of");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_its_side_gets_its_answer_however_late() {
    let answer = || async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        "late"
    };
    let router = Router::new().route("/late", get(answer)).route("/", get(|| async { "soon" }));
    let serving = Listening::bind("listen", "127.0.0.1:0").await.unwrap().serve(router, &Limits::default());
    let request = |path: &str, version: &str| format!("GET {path} HTTP/{version}\r\nhost: localhost\r\n\r\n");
    let probed = ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK", "late");
    for (request, (head, body)) in [
        (request("/", "1.1"), ("HTTP/1.1 200 OK", "soon")),
        (request("/late", "1.1"), probed),
        (request("/late", "1.0"), ("HTTP/1.0 200 OK", "late")),
        (request("/", "1.1") + &request("/late", "1.1"), ("HTTP/1.1 200 OK", "late")),
    ] {
        let mut stream = ask(&serving, &request).await;
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(head) && answer.ends_with(body), "{request}{answer}");
    }
}

#[tokio::test]
async fn a_live_answer_goes_on_when_its_reader_closes_its_side() {
    let (serving, sender) = serve_live().await;
    let mut stream = ask(&serving, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    read_until(&mut stream, "\r\n\r\n").await;
    stream.shutdown().await.unwrap();
    assert_eq!(read_until(&mut stream, ":\n\n\r\n").await, "3\r\n:\n\n\r\n");
    sender.send("event").await.unwrap();
    drop(sender);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "3\r\n:\n\n\r\n5\r\nevent\r\n0\r\n\r\n");
}

/// Posts 3 MB while nobody has read them, and returns the whole answer. The server closes the connection, or the client does.
async fn upload(serving: &Serving, head: &str) -> String {
    let mut stream = ask(serving, head).await;
    let bytes = vec![b'x'; 3_000_000];
    stream.write_all(&bytes).await.expect("the server reads on");
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("no reset");
    answer
}

#[tokio::test]
async fn a_refusal_arrives_while_the_client_still_uploads() {
    let router = Router::new().route("/", get(|| async { "read" }));
    let serving = Listening::bind("listen", "127.0.0.1:0").await.unwrap().serve(router, &Limits::default());
    let length = "content-length: 3000000\r\n";
    for (request, host, status) in [
        ("POST / HTTP/1.1", "host: localhost\r\n", "405"),
        ("POST /no HTTP/1.1", "host: localhost\r\n", "404"),
        ("GET / HTTP/1.1", "host: localhost\r\n", "200"),
        ("POST / HTTP/1.1", "", "400"),
        ("POST / HTTP/1.1", "content-length: 3\r\nhost: localhost\r\n", "400"),
        ("PO(T / HTTP/1.1", "host: localhost\r\n", "400"),
    ] {
        let answer = upload(&serving, &format!("{request}\r\n{host}{length}\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
    }
}

#[tokio::test]
async fn a_connection_whose_upload_was_refused_can_be_used_again() {
    let router = Router::new().route("/", get(|| async { "read" }));
    let serving = Listening::bind("listen", "127.0.0.1:0").await.unwrap().serve(router, &Limits::default());
    let head = "POST /no HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3000000\r\n\r\n";
    let mut stream = ask(&serving, head).await;
    assert!(read_until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 404"), "before the body is sent");
    stream.write_all(&vec![b'x'; 3_000_000]).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(read_until(&mut stream, "read").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_waits_for_leave_to_send_is_refused_and_not_asked_for_its_body() {
    let router = Router::new().route("/", get(|| async { "read" }));
    let serving = Listening::bind("listen", "127.0.0.1:0").await.unwrap().serve(router, &Limits::default());
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    let mut stream = ask(&serving, head).await;
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("connection: close"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_stops_is_not_waited_for_after_its_answer() {
    let router = Router::new().route("/", get(|| async { "read" }));
    let serving = Listening::bind("listen", "127.0.0.1:0").await.unwrap().serve(router, &Limits::default());
    let mut stream = ask(&serving, "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nx").await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

#[tokio::test]
async fn requests_in_one_piece_are_answered_in_their_order() {
    let router = Router::new().route(
        "/{name}",
        get(|axum::extract::Path(name): axum::extract::Path<String>| async {
            tokio::task::yield_now().await;
            name
        }),
    );
    let serving = Listening::bind("listen", "127.0.0.1:0").await.unwrap().serve(router, &Limits::default());
    let request = |name| format!("GET /{name} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut stream = ask(&serving, &["one", "two", "three"].map(request).concat()).await;
    for name in ["one", "two", "three"] {
        assert!(read_until(&mut stream, name).await.starts_with("HTTP/1.1 200 OK"));
    }
}

#[tokio::test]
async fn a_live_answer_comes_piece_by_piece_and_a_drain_waits_for_its_end() {
    let (serving, sender) = serve_live().await;
    let mut stream = ask(&serving, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.contains("transfer-encoding: chunked") && head.contains("connection: close"), "{head}");
    sender.send("first").await.unwrap();
    assert_eq!(read_until(&mut stream, "first\r\n").await, "5\r\nfirst\r\n");
    let draining = tokio::spawn(serving.drain(Duration::from_secs(30)));
    sender.send("last").await.unwrap();
    drop(sender);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "4\r\nlast\r\n0\r\n\r\n");
    assert!(draining.await.unwrap());
}

#[tokio::test]
async fn a_live_answer_ends_when_its_reader_goes() {
    let (serving, sender) = serve_live().await;
    let mut stream = ask(&serving, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    read_until(&mut stream, "\r\n\r\n").await;
    drop(stream);
    sender.closed().await;
    assert!(serving.drain(Duration::from_secs(30)).await);
}

#[tokio::test]
async fn who_knows_no_chunks_gets_a_live_answer_as_it_is() {
    let (serving, sender) = serve_live().await;
    let mut stream = ask(&serving, "GET / HTTP/1.0\r\n\r\n").await;
    sender.send("all").await.unwrap();
    drop(sender);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nall"), "{answer}");
}

#[tokio::test]
async fn a_live_answer_to_head_has_no_body() {
    let (serving, _sender) = serve_live().await;
    let mut stream = ask(&serving, "HEAD / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_in_chunks_of_chunks_is_refused() {
    let router = Router::new().route("/", axum::routing::post(|body: Bytes| async { body }));
    let serving = Listening::bind("listen", "127.0.0.1:0").await.unwrap().serve(router, &Limits::default());
    for (codings, status) in [
        ("Transfer-Encoding: chunked", 200),
        ("Transfer-Encoding: gzip, chunked", 200),
        ("Transfer-Encoding: chunked, chunked", 400),
        ("Transfer-Encoding: chunked ,CHUNKED", 400),
        ("Transfer-Encoding: chunked, gzip, chunked", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
    ] {
        let head = format!("POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{codings}\r\n\r\n");
        let mut stream = ask(&serving, &(head + "2\r\n{}\r\n0\r\n\r\n")).await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{codings}: {answer}");
    }
}
