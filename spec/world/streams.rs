//! A streams server with an HTTP listener of its own, and what its clients received.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use exorelay::http::{Limits, Listening, Serving};
use exorelay::store::{DiskConfig, DiskStore, MemoryStore, Store};
use exorelay::streams::{Config, Streams, routes};
use futures_util::StreamExt;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::http::Answer;
use super::service::Service;

/// Timeout for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything a scenario has started, and what it has seen.
#[derive(Default, cucumber::World)]
pub struct World {
    server: Option<(Streams, Serving)>,
    /// Store of a server without a disk.
    memory: Arc<MemoryStore>,
    /// Data directory of a server with one.
    pub disk: Option<TempDir>,
    /// Content type that each stream was created with.
    pub types: BTreeMap<String, String>,
    answer: Option<Answer>,
    /// The tag that a read gave last, and where it ended.
    pub tag: String,
    pub place: String,
    pub polling: Option<JoinHandle<Answer>>,
    pub follower: Option<Follower>,
    /// Receiver of webhooks.
    pub receiver: Option<Service>,
    /// The answer to the last claim.
    pub claimed: Value,
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("World").field("types", &self.types).field("answer", &self.answer).finish()
    }
}

impl World {
    /// Starts a server; one that ran before ends.
    pub async fn start(&mut self, config: Config) {
        self.memory = Arc::default();
        self.open(config).await;
    }

    /// Starts another server on what the first one has kept.
    pub async fn start_again(&mut self) {
        let (streams, serving) = self.server.take().expect("there is a server");
        let config = streams.config().clone();
        serving.drain(PATIENCE).await;
        streams.close().await;
        self.open(config).await;
    }

    fn store(&self, config: &Config) -> Arc<dyn Store> {
        let Some(disk) = &self.disk else { return self.memory.clone() };
        let config = DiskConfig {
            dir: disk.path().to_owned(),
            durability: config.durability,
            free_bytes_min: config.disk_free_bytes_min,
            cache_bytes: config.disk_cache_bytes_max as u64,
        };
        Arc::new(DiskStore::open(&config).expect("the folder can be opened"))
    }

    async fn open(&mut self, mut config: Config) {
        let listening = Listening::bind("test", "127.0.0.1:0").await.expect("a port is free");
        // As the commands do.
        config.listener_url = format!("http://{}", listening.address());
        config.own_listeners.add(listening.address());
        let streams = Streams::open(config.clone(), self.store(&config)).expect("the store can be read");
        let limits = Limits::default();
        let listening = listening.guarded(routes::access(&config, &limits));
        let serving = listening.serve(routes::server(streams.clone(), &limits), &limits);
        self.server = Some((streams, serving));
    }

    pub fn streams(&self) -> &Streams {
        &self.server.as_ref().expect("there is a server").0
    }

    pub fn url(&self, stream: &str) -> String {
        format!("http://{}/v1/stream/{stream}", self.address())
    }

    pub fn address(&self) -> SocketAddr {
        self.server.as_ref().expect("there is a server").1.address()
    }

    pub fn answer(&self) -> &Answer {
        self.answer.as_ref().expect("there is an answer")
    }

    /// Keeps an answer as the last one.
    pub fn keep(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    /// Makes a call and keeps its answer.
    pub async fn call(&mut self, method: Method, stream: &str, headers: &[(&str, &str)], body: Vec<u8>) {
        self.answer = Some(call(method, &self.url(stream), headers, body).await);
    }
}

/// Makes a call with these headers and no others of ours.
pub async fn call(method: Method, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let client = Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
    let name = |text: &str| HeaderName::try_from(text).expect("a header's name");
    let value = |text: &str| HeaderValue::try_from(text).expect("a header's value");
    let headers: HeaderMap = headers.iter().map(|(header, text)| (name(header), value(text))).collect();
    let request = client.request(method.clone(), url).headers(headers).body(body);
    let answer = request.send().await.unwrap_or_else(|error| panic!("{method} {url}: {error:?}"));
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = String::from_utf8_lossy(&answer.bytes().await.expect("a complete body")).into_owned();
    Answer { status, headers, body }
}

/// A client that follows a stream by events.
pub struct Follower {
    url: String,
    events: mpsc::Receiver<[String; 3]>,
    /// The id of the last event.
    pub id: String,
    reading: JoinHandle<()>,
}

impl Follower {
    pub async fn start(url: &str) -> Self {
        Self::start_after(url, "").await.unwrap_or_else(|status| panic!("{url}: {status}"))
    }

    /// Connects again, as an `EventSource` does: to the same URL, with the id of the last event. Errors: the status of an answer
    /// that is no stream of events.
    pub async fn again(&self) -> Result<Self, u16> {
        Self::start_after(&self.url, &self.id).await
    }

    async fn start_after(url: &str, id: &str) -> Result<Self, u16> {
        let request = Client::builder().no_proxy().build().expect("a client").get(url);
        let request = if id.is_empty() { request } else { request.header("last-event-id", id) };
        let answer = request.send().await.expect("an answer");
        if answer.status() != 200 {
            return Err(answer.status().as_u16());
        }
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let (sender, events) = mpsc::channel(100);
        let reading = tokio::spawn(async move {
            let (mut chunks, mut text) = (answer.bytes_stream(), String::new());
            while let Some(Ok(chunk)) = chunks.next().await {
                text.push_str(&String::from_utf8_lossy(&chunk));
                while let Some(end) = text.find("\n\n") {
                    let event: String = text.drain(..end + 2).collect();
                    sender.send(fields(&event)).await.ok();
                }
            }
        });
        Ok(Self { url: url.to_owned(), events, id: id.to_owned(), reading })
    }

    /// Name and data of the next event; `None` at the end.
    pub async fn next(&mut self) -> Option<(String, String)> {
        let next = tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("an event, or the end, in time");
        let [name, data, id] = next?;
        self.id = id;
        Some((name, data))
    }
}

/// Name, data and id of an event. HTML Standard 9.2.6.
fn fields(event: &str) -> [String; 3] {
    let values = |name: &'static str| {
        let fields = event.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(':'));
        fields.map(|value| value.strip_prefix(' ').unwrap_or(value).to_owned())
    };
    let one = |name| values(name).next().unwrap_or_default();
    [one("event"), values("data").collect::<Vec<_>>().join("\n"), one("id")]
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
