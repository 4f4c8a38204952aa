//! Request bodies that are large, chunked or incomplete.

use reqwest::Method;

use super::client::Streams;
use crate::stage::Raw;

const TEN_MIB: usize = 10 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn ten_mebibytes_are_stored_and_survive_a_kill() {
    let mut streams = Streams::start(&[]).await;
    let body: Vec<u8> = (0..TEN_MIB).map(|at| (at % 253) as u8).collect();
    let kind = "application/octet-stream";
    assert_eq!(streams.caller().create("large", kind).await, 201);
    assert_eq!(streams.caller().append("large", kind, body.clone()).await, 204);
    streams.kill_and_revive().await;
    assert!(streams.caller().read("large", "-1").await.unwrap().0 == body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_gets_a_complete_answer() {
    let streams = Streams::start(&[("EXORELAY__STREAMS__BODY_BYTES_MAX", "100000")]).await;
    let caller = streams.caller();
    assert_eq!(caller.create("a", "text/plain").await, 201);
    let text = [("content-type", "text/plain")];
    let refused = caller.call(Method::POST, "a", &text, vec![b'x'; TEN_MIB]).await.unwrap();
    assert_eq!(refused.status(), 413);
    assert!(refused.text().await.unwrap().contains("100000 bytes"));
    assert_eq!(caller.append("a", "text/plain", b"short".to_vec()).await, 204);
    assert_eq!(caller.read("a", "-1").await.unwrap().0, b"short");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_is_one_append_and_an_incomplete_body_is_none() {
    let streams = Streams::start(&[]).await;
    let caller = streams.caller();
    assert_eq!(caller.create("a", "text/plain").await, 201);
    let head = "POST /v1/stream/a HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n";
    let mut chunked = Raw::connect(streams.process.address("streams")).await;
    chunked.send(&format!("{head}transfer-encoding: chunked\r\n\r\n3\r\none\r\n")).await;
    chunked.send("4\r\n,two\r\n0\r\n\r\n").await;
    assert!(chunked.answer().await.unwrap().starts_with("HTTP/1.1 204"));
    for half in ["content-length: 10\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let mut broken = Raw::connect(streams.process.address("streams")).await;
        broken.send(&format!("{head}{half}")).await;
    }
    assert_eq!(caller.append("a", "text/plain", b",three".to_vec()).await, 204);
    assert_eq!(caller.read("a", "-1").await.unwrap().0, b"one,two,three");
}
