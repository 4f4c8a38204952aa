//! A listener, and clients that know in advance that it speaks HTTP/2.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::http::{Limits, Listening, Serving, live};

async fn serve_with(router: Router, limits: &Limits) -> Serving {
    Listening::bind("listen", "127.0.0.1:0").await.unwrap().serve(router, limits)
}

/// Connects. The task ends with the connection.
async fn connect(serving: &Serving, window_bytes: u32) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(serving.address()).await.unwrap();
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window_bytes);
    let (requests, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    (requests, tokio::spawn(connection))
}

async fn ask(requests: &mut SendRequest<Body>, method: Method, path: &str) -> Response<Incoming> {
    let uri = format!("http://localhost{path}");
    let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
    requests.ready().await.unwrap();
    requests.send_request(request).await.unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_request_has_a_host_and_a_path_as_in_http1() {
    let shown = |headers: HeaderMap, uri: axum::http::Uri| async move {
        format!("{} {uri} {}", headers["host"].to_str().unwrap(), headers.contains_key("cookie"))
    };
    let serving = serve_with(Router::new().route("/a", get(shown)), &Limits::default()).await;
    let (mut requests, _connection) = connect(&serving, 65_535).await;
    assert_eq!(text(ask(&mut requests, Method::GET, "/a?b=c").await).await, "localhost /a?b=c false");
    let head = ask(&mut requests, Method::HEAD, "/a").await;
    assert_eq!((head.status(), head.headers()["content-length"].to_str().unwrap()), (StatusCode::OK, "18"));
    assert_eq!(text(head).await, "");
    assert_eq!(ask(&mut requests, Method::POST, "/a").await.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn many_event_streams_share_one_connection_with_calls() {
    let events = || async { live(stream::iter([Bytes::from("data:1\n\n")]).chain_pending()) };
    let router = Router::new().route("/events", get(events)).route("/echo", post(|body: Bytes| async { body }));
    let serving = serve_with(router, &Limits::default()).await;
    let (mut requests, _connection) = connect(&serving, 65_535).await;
    let mut open = Vec::new();
    for _ in 0..50 {
        let mut response = ask(&mut requests, Method::GET, "/events").await;
        let first = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "data:1\n\n");
        open.push(response);
    }
    let body = vec![7; 300_000];
    let request = Request::post("http://localhost/echo").body(Body::from(body.clone())).unwrap();
    let echoed = requests.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(echoed, body);
}

/// Streams that end never.
trait ChainPending: futures_util::Stream + Sized {
    fn chain_pending(self) -> impl futures_util::Stream<Item = Self::Item> {
        futures_util::StreamExt::chain(self, stream::pending())
    }
}

impl<S: futures_util::Stream> ChainPending for S {}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_ends_the_connection() {
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let released = Arc::new(std::sync::Mutex::new(Some(released)));
    let (begun, mut working) = tokio::sync::mpsc::channel(1);
    let answer = move || {
        let (released, begun) = (released.lock().unwrap().take().unwrap(), begun.clone());
        async move {
            begun.send(()).await.unwrap();
            released.await.unwrap();
            "finished"
        }
    };
    let serving = serve_with(Router::new().route("/", get(answer)), &Limits::default()).await;
    let (mut requests, connection) = connect(&serving, 65_535).await;
    let answered = tokio::spawn(async move { text(ask(&mut requests, Method::GET, "/").await).await });
    working.recv().await.unwrap();
    let draining = tokio::spawn(serving.drain(Duration::from_secs(30)));
    release.send(()).unwrap();
    assert_eq!(answered.await.unwrap(), "finished");
    assert!(draining.await.unwrap());
    connection.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed() {
    let limits = Limits { header_timeout_ms: 5_000, ..Limits::default() };
    let serving = serve_with(Router::new().route("/", get(|| async { "" })), &limits).await;
    let began = Instant::now();
    let (mut requests, connection) = connect(&serving, 65_535).await;
    ask(&mut requests, Method::GET, "/").await;
    connection.await.unwrap().unwrap();
    assert!((5..8).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_answer_is_not_taken_is_cancelled_and_others_go_on() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let endless = move || {
        let sent = Arc::clone(&counted);
        let pieces = stream::repeat_with(move || {
            sent.fetch_add(1, Ordering::SeqCst);
            Ok::<_, std::convert::Infallible>(Bytes::from(vec![0; 100_000]))
        });
        async { Body::from_stream(pieces) }
    };
    let router = Router::new().route("/endless", get(endless)).route("/", get(|| async { "there" }));
    let limits = Limits { write_timeout_ms: 5_000, ..Limits::default() };
    let serving = serve_with(router, &limits).await;
    let (mut requests, _connection) = connect(&serving, 65_535).await;
    let untaken = ask(&mut requests, Method::GET, "/endless").await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(sent.load(Ordering::SeqCst) <= 2, "it does not pile up");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(text(ask(&mut requests, Method::GET, "/").await).await, "there");
    assert!(untaken.into_body().collect().await.is_err(), "it was cancelled");
}

#[tokio::test]
async fn nobody_works_for_a_request_that_was_cancelled() {
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
    let serving = serve_with(Router::new().route("/", get(answer)), &Limits::default()).await;
    let (mut requests, _connection) = connect(&serving, 65_535).await;
    let asking = tokio::spawn(async move {
        ask(&mut requests, Method::GET, "/").await;
    });
    assert_eq!(working.recv().await, Some(()));
    asking.abort();
    assert_eq!(working.recv().await, None, "the call is let go of");
}

#[tokio::test]
async fn long_headers_are_refused() {
    let serving = serve_with(Router::new().route("/", get(|| async { "" })), &Limits::default()).await;
    let (mut requests, _connection) = connect(&serving, 65_535).await;
    let request = Request::get("http://localhost/").header("x-long", "y".repeat(100_000));
    let refused = requests.send_request(request.body(Body::empty()).unwrap()).await;
    let status = refused.map(|response| response.status());
    assert!(
        status.as_ref().map_or(true, |status| *status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        "{status:?}"
    );
}
