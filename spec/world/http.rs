//! Calls over HTTP, and a follower of server-sent events.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Client, Method};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Timeout for one call.
const PATIENCE: Duration = Duration::from_secs(40);

/// Answer to a call.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Makes one call, as JSON unless the header says otherwise.
pub async fn call(method: Method, url: &str, body: Vec<u8>, header: Option<(String, String)>) -> Answer {
    let client = Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
    let mut request = client.request(method.clone(), url);
    if method == Method::POST || method == Method::PUT {
        request = request.body(body);
    }
    let json = header.as_ref().is_none_or(|(name, _)| name != "content-type");
    if json && method == Method::POST {
        request = request.header("content-type", "application/json");
    }
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let answer = request.send().await.unwrap_or_else(|error| panic!("{method} {url}: {error:?}"));
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer { status, headers, body: answer.text().await.expect("a complete body") }
}

/// A client that follows a stream of messages.
#[derive(Debug)]
pub struct Follower {
    messages: mpsc::Receiver<Value>,
    reading: JoinHandle<()>,
}

impl Follower {
    pub async fn start(url: &str) -> Self {
        let answer = Client::builder().no_proxy().build().expect("a client").get(url).send().await.expect("a stream");
        assert_eq!(answer.status(), 200);
        let (sender, messages) = mpsc::channel(100);
        let reading = tokio::spawn(async move {
            let (mut chunks, mut text) = (answer.bytes_stream(), String::new());
            while let Some(Ok(chunk)) = chunks.next().await {
                text.push_str(&String::from_utf8_lossy(&chunk));
                while let Some(end) = text.find("\n\n") {
                    let event: String = text.drain(..end + 2).collect();
                    let data: String = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
                    if let Ok(message) = serde_json::from_str(&data) {
                        sender.send(message).await.ok();
                    }
                }
            }
        });
        Self { messages, reading }
    }

    pub async fn next(&mut self) -> Value {
        let next = tokio::time::timeout(PATIENCE, self.messages.recv()).await;
        next.expect("a message in time").expect("the stream goes on")
    }

    /// Waits for the end of the stream, before which nothing more may come.
    pub async fn end(&mut self) {
        let next = tokio::time::timeout(PATIENCE, self.messages.recv()).await;
        assert_eq!(next.expect("an end in time"), None);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
