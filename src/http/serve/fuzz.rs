//! Garbage on the connections of a real listener, and for the checks of a request's head.

use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue, Version};
use axum::routing::any;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use super::{Listening, Serving, framing};
use crate::http::{Limits, Problem, read_body};
use crate::mutation::mutated;

/// Time in which a connection whose client has sent everything comes to its end.
const TIMEOUT: Duration = Duration::from_secs(20);

const REQUESTS: [&str; 7] = [
    "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST /a%20b?c=d HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Length: 5\r\nContent-Type: application/json\r\n\r\n[1,2]",
    "POST / HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n[1,2]\r\n0\r\nTrailer: a\r\n\r\n",
    "PUT / HTTP/1.0\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x08ab",
    "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nAccess-Control-Request-Method: PUT\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
];

const GOOD: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A listener that answers each request with the length of its body.
static SERVER: LazyLock<(Runtime, Serving)> = LazyLock::new(|| {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let serving = runtime.block_on(async {
        let router = Router::new().fallback(any(|request: Request| async move {
            let (head, body): (_, Body) = request.into_parts();
            let limits = Limits { body_bytes_max: 1_000, ..Limits::default() };
            let body = read_body(&head.headers, body, &limits).await?;
            Ok::<_, Problem>(body.len().to_string())
        }));
        Listening::bind("--fuzz HOST:PORT", "127.0.0.1:0").await.unwrap().serve(router, &Limits::default())
    });
    (runtime, serving)
});

/// Sends bytes on a connection of their own, and returns all that comes back. The listener may close it at any time.
async fn exchange(bytes: &[u8]) -> Vec<u8> {
    let mut connection = TcpStream::connect(SERVER.1.address()).await.unwrap();
    if connection.write_all(bytes).await.is_ok() && bytes != GOOD.as_bytes() {
        drop(connection.shutdown().await);
    }
    let mut answer = Vec::new();
    let read = tokio::time::timeout(TIMEOUT, connection.read_to_end(&mut answer)).await;
    drop(read.expect("the connection does not end"));
    answer
}

fn status(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.strip_prefix(b"HTTP/1.")?.get(2..5)?).ok()?.parse().ok()
}

fn cases() -> ProptestConfig {
    let all = ProptestConfig::default();
    ProptestConfig { cases: all.cases / 4, ..all }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_listener_answers_or_closes_whatever_it_gets(bytes in mutated(REQUESTS)) {
        let (answer, good) = SERVER.0.block_on(async { (exchange(&bytes).await, exchange(GOOD.as_bytes()).await) });
        if !answer.is_empty() {
            prop_assert!(status(&answer).is_some_and(|status| status < 500 || status == 501), "{}", String::from_utf8_lossy(&answer));
        }
        prop_assert_eq!(status(&good), Some(200));
    }
}

proptest! {
    #[test]
    fn a_head_names_one_host_and_is_chunked_once(
        hosts in vec(mutated(["localhost:4001", "[::1]:80", "a.example", "user@a", "a, b"]), 0..3),
        codings in vec(mutated(["chunked", "gzip, chunked", "identity", "Chunked ,chunked"]), 0..3),
        is_old: bool,
    ) {
        let mut headers = HeaderMap::new();
        let valid = |texts: &[Vec<u8>]| texts.iter().filter_map(|text| HeaderValue::from_bytes(text).ok()).collect::<Vec<_>>();
        let (hosts, codings) = (valid(&hosts), valid(&codings));
        for host in &hosts {
            headers.append(HOST, host.clone());
        }
        for coding in &codings {
            headers.append(TRANSFER_ENCODING, coding.clone());
        }
        let version = if is_old { Version::HTTP_10 } else { Version::HTTP_11 };
        let names = codings.iter().flat_map(|value| {
            String::from_utf8_lossy(value.as_bytes()).split(',').map(|name| name.trim_matches([' ', '\t']).to_ascii_lowercase()).collect::<Vec<_>>()
        });
        let is_chunked_once = names.filter(|name| name == "chunked").count() < 2;
        let is_host = |host: &HeaderValue| host.as_bytes().iter().all(|byte| {
            byte.is_ascii_graphic() && !b"\"#,/<>?@\\^`{|}".contains(byte)
        });
        let has_one_host = match hosts.as_slice() {
            [] => is_old,
            [host] => is_host(host),
            _ => false,
        };
        prop_assert_eq!(framing::check(version, &headers).is_ok(), is_chunked_once && has_one_host, "{:?}", headers);
    }
}
