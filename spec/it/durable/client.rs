//! A client of streams on disk, and a reproducible random generator.

use std::time::Duration;

use reqwest::{Client, Method, Response};
use tempfile::TempDir;

use crate::stage::Process;

/// Timeout of one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// A streams server, its data directory, and connections to it.
pub(super) struct Streams {
    pub(super) process: Process,
    pub(super) dir: TempDir,
    client: Client,
}

impl Streams {
    pub(super) async fn start(settings: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        let line = format!("streams --data-dir {} --drain-grace 1s", dir.path().display());
        let process = Process::start(&line, settings).await;
        Self { process, dir, client: client() }
    }

    /// Kills the server with SIGKILL and starts it again on the same directory.
    pub(super) async fn kill_and_revive(&mut self) {
        self.process.kill().await;
        self.process.restart().await;
        self.client = client();
    }

    pub(super) fn caller(&self) -> Caller {
        Caller { client: self.client.clone(), root: format!("{}/v1/stream", self.process.url("streams")) }
    }
}

pub(super) fn client() -> Client {
    Client::builder().no_proxy().timeout(CALL_TIMEOUT).build().unwrap()
}

/// Makes calls to a server.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) client: Client,
    pub(super) root: String,
}

impl Caller {
    /// Sends a request. Errors: there was no complete answer.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Response, reqwest::Error> {
        let mut request = self.client.request(method, format!("{}/{path}", self.root)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await
    }

    pub(super) async fn create(&self, path: &str, content_type: &str) -> u16 {
        let created = self.call(Method::PUT, path, &[("content-type", content_type)], Vec::new()).await;
        created.unwrap().status().as_u16()
    }

    pub(super) async fn append(&self, path: &str, content_type: &str, body: Vec<u8>) -> u16 {
        let appended = self.call(Method::POST, path, &[("content-type", content_type)], body).await;
        appended.unwrap().status().as_u16()
    }

    /// Reads from an offset to the end; returns the content and the offset of the end. `Err` has the status and body of a
    /// failure. An answer that is broken off is asked for again, unless it has said that it ends before: at damage.
    pub(super) async fn read(&self, path: &str, from: &str) -> Result<(Vec<u8>, String), (u16, String)> {
        let (mut content, mut offset, mut broken) = (Vec::new(), from.to_owned(), 0);
        loop {
            let query = format!("{path}?offset={offset}");
            let answer = self.call(Method::GET, &query, &[], Vec::new()).await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let body = match answer.bytes().await {
                Ok(body) => body,
                Err(error) => {
                    broken += 1;
                    assert!(broken < 10, "{path} at {offset}: {error}");
                    if !headers.contains_key("stream-up-to-date") && status == 200 {
                        headers["stream-next-offset"].to_str().unwrap().clone_into(&mut offset);
                    }
                    continue;
                }
            };
            if status != 200 {
                return Err((status, String::from_utf8_lossy(&body).into_owned()));
            }
            content.extend_from_slice(&body);
            offset = headers["stream-next-offset"].to_str().unwrap().to_owned();
            if headers.contains_key("stream-up-to-date") {
                return Ok((content, offset));
            }
        }
    }
}

/// A pseudo-random generator; the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns a number below `sides`.
    pub(super) fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}
