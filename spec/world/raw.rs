//! Calls over a bare socket, for clients that a library would not let be.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http::Answer;

/// The way in which a client ends what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It leaves its side open.
    Open,
    /// It closes its side.
    HalfClosed,
}

/// Sends a request, all of it before it reads anything, and reads until the server closes the connection, which the request
/// should ask for. A reset fails the test.
pub async fn call_raw(address: &str, head: &str, body: &[u8], ending: Ending) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("a listener");
    stream.write_all(head.as_bytes()).await.expect("the head is sent");
    stream.write_all(body).await.expect("the server reads on while the client sends");
    if ending == Ending::HalfClosed {
        stream.shutdown().await.expect("the end is sent");
    }
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("a complete answer instead of a reset");
    parse(&String::from_utf8_lossy(&bytes))
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer in {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers: HeaderMap = lines
        .filter_map(|line| line.split_once(": "))
        .filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?)))
        .collect();
    Answer { status: status.unwrap_or_else(|| panic!("no status in {text:?}")), headers, body: body.to_owned() }
}
