//! Bodies that are large, come in pieces, or do not come at all.

use tempfile::TempDir;

use super::client::{Client, answer_to, send_raw};
use super::dice::Dice;
use super::server_on;
use crate::eventually::eventually;

const BINARY: &str = "application/octet-stream";

const MIB: usize = 1024 * 1024;

/// The head of a request whose body comes in chunks.
const CHUNKED: &str = "POST /v1/stream/big HTTP/1.1\r\nhost: a\r\ncontent-type: application/octet-stream\r\n\
                       transfer-encoding: chunked\r\n\r\n";

fn chunked(body: &[u8], chunk: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in body.chunks(chunk) {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[tokio::test]
async fn ten_mebibytes_in_one_append_come_back_after_a_kill_too() {
    let folder = TempDir::new().unwrap();
    let mut server = server_on(&folder, &[]).await;
    let address = server.address("streams").to_owned();
    let mut client = Client::of(&address);
    client.create("big", BINARY).await;
    let (first, second) = (Dice::new(1).bytes(10 * MIB), Dice::new(2).bytes(10 * MIB + 1));
    let appended = client.append("big", BINARY, &first).await;
    assert_eq!(appended.status, 204, "{appended:?}");
    let bytes = [CHUNKED.as_bytes(), &chunked(&second, 12_345), b"0\r\n\r\n"].concat();
    let answer = answer_to(send_raw(&address, &bytes).await, "POST").await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let expected = [first, second].concat();
    assert!(client.read("big", "-1").await.unwrap().content == expected);
    server.kill().await;
    server.revive().await;
    assert!(Client::of(&address).read("big", "-1").await.unwrap().content == expected);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_a_complete_answer() {
    let folder = TempDir::new().unwrap();
    let server = server_on(&folder, &[("EXORELAY__STREAMS__BODY_BYTES_MAX", "1048576")]).await;
    let address = server.address("streams");
    let mut client = Client::of(address);
    client.create("big", BINARY).await;
    let body = vec![b'x'; 10 * MIB];
    let refused = client.append("big", BINARY, &body).await;
    assert_eq!((refused.status, refused.header("content-type")), (413, Some("application/problem+json")));
    assert!(refused.text().contains("limit of 1048576 bytes"), "{refused:?}");
    let bytes = [CHUNKED.as_bytes(), &chunked(&body, 100_000), b"0\r\n\r\n"].concat();
    let refused = answer_to(send_raw(address, &bytes).await, "POST").await;
    assert_eq!(refused.status, 413, "{refused:?}");
    assert_eq!(client.append("big", BINARY, &body[..MIB]).await.status, 204);
    assert_eq!(client.read("big", "-1").await.unwrap().content.len(), MIB);
}

#[tokio::test]
async fn half_a_body_is_nothing() {
    let folder = TempDir::new().unwrap();
    let mut server = server_on(&folder, &[]).await;
    let address = server.address("streams").to_owned();
    let mut client = Client::of(&address);
    client.create("big", BINARY).await;
    let announced = "POST /v1/stream/big HTTP/1.1\r\nhost: a\r\ncontent-type: application/octet-stream\r\n\
                     content-length: 1000000\r\n\r\n";
    let create = "PUT /v1/stream/half HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf";
    let half = vec![b'h'; 500_000];
    let idle = server.open_files();
    drop(send_raw(&address, &[announced.as_bytes(), &half].concat()).await);
    drop(send_raw(&address, &[CHUNKED.as_bytes(), &chunked(&half, 1000)].concat()).await);
    drop(send_raw(&address, create.as_bytes()).await);
    eventually("connections that are closed again", || async { (server.open_files() <= idle).then_some(()) }).await;
    assert!(client.read("big", "-1").await.unwrap().content.is_empty());
    assert_eq!(client.read("half", "-1").await.err().unwrap().status, 404);
    assert_eq!(client.append("big", BINARY, b"whole").await.status, 204);
    server.kill().await;
    server.revive().await;
    let mut client = Client::of(&address);
    assert_eq!(client.read("big", "-1").await.unwrap().content, b"whole");
    assert_eq!(client.read("half", "-1").await.err().unwrap().status, 404);
}
