//! The calls of the loads. Every answer is checked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::client::{Connection, Head, excerpt, request};
use super::loads::Content;
use crate::load::Call;

/// A connection that is opened on first use and again after a failure, and what its last answer held.
pub struct Line {
    address: SocketAddr,
    connection: Option<Connection>,
    body: Vec<u8>,
}

/// Appends the same bytes again and again.
pub struct Append {
    line: Line,
    /// Each stream's request, and the offset that it was at.
    streams: Vec<(Bytes, String)>,
    at: usize,
    /// True if answers carry offsets.
    offsets: bool,
    left: Allowance,
}

/// Appends records that are told apart by their numbers.
pub struct Fill {
    line: Line,
    path: Arc<str>,
    content: Content,
    next: Arc<AtomicU64>,
    left: Allowance,
}

/// Creates streams.
pub struct Create {
    line: Line,
    folder: Arc<str>,
    next: Arc<AtomicU64>,
    left: Allowance,
}

/// Reads a stream to its end.
pub struct Read {
    line: Line,
    path: Arc<str>,
    first: Bytes,
    content: Content,
    expected: Bytes,
}

/// Calls that may still be made, by all callers together.
#[derive(Clone)]
pub struct Allowance(Arc<AtomicU64>);

impl Allowance {
    pub fn of(calls: u64) -> Self {
        Self(Arc::new(AtomicU64::new(calls)))
    }

    fn take(&self) {
        // A caller has asked before its call, so that it never goes below zero by more than the callers in flight.
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(1))).ok();
    }

    fn is_used_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl Line {
    pub fn to(address: SocketAddr) -> Self {
        Self { address, connection: None, body: Vec::new() }
    }

    /// Sends a request and reads the answer to its end. An answer of another status than `status` is an error.
    pub async fn exchange(&mut self, request: &[u8], status: u16) -> Result<Head, String> {
        // Taken out for the call: one that fails or is given up leaves no connection with a late answer behind.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        self.body.clear();
        let head = connection.exchange(request, &mut self.body).await?;
        if head.status != status {
            return Err(format!("status {} instead of {status}: {}", head.status, excerpt(&self.body)));
        }
        self.connection = Some(connection);
        Ok(head)
    }
}

impl Append {
    /// Appends `payload` to `paths` in turn; answers tell `offsets`, except those of who keeps nothing.
    pub fn new(address: SocketAddr, paths: &[String], payload: &[u8], offsets: bool, left: Allowance) -> Self {
        let request = |path: &String| request("POST", path, Some(Content::Binary.media_type()), payload);
        let streams = paths.iter().map(|path| (request(path), String::new())).collect();
        Self { line: Line::to(address), streams, at: 0, offsets, left }
    }
}

impl Call for Append {
    async fn call(&mut self) -> Result<(), String> {
        self.left.take();
        self.at = (self.at + 1) % self.streams.len();
        let (request, last) = &mut self.streams[self.at];
        let head = self.line.exchange(request, 204).await?;
        if !self.offsets {
            return Ok(());
        }
        let next = head.next.ok_or("an append was answered without its offset")?;
        if next <= *last {
            return Err(format!("an append was answered with offset {next} after {last}"));
        }
        *last = next;
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.left.is_used_up()
    }
}

impl Fill {
    /// As many as `count` callers, which append `records` records to the stream at `path`.
    pub fn callers(address: SocketAddr, path: &str, content: Content, records: u64, count: usize) -> Vec<Self> {
        let (path, next, left) = (Arc::from(path), Arc::default(), Allowance::of(records));
        let caller = || Self {
            line: Line::to(address),
            path: Arc::clone(&path),
            content,
            next: Arc::clone(&next),
            left: left.clone(),
        };
        std::iter::repeat_with(caller).take(count).collect()
    }
}

impl Call for Fill {
    async fn call(&mut self) -> Result<(), String> {
        self.left.take();
        let record = self.content.record(self.next.fetch_add(1, Ordering::Relaxed));
        let append = request("POST", &self.path, Some(self.content.media_type()), &record);
        self.line.exchange(&append, 204).await.map(drop)
    }

    fn is_done(&self) -> bool {
        self.left.is_used_up()
    }
}

impl Create {
    /// As many as `count` callers, which create streams below `folder`, `streams` at most, numbered from 0.
    pub fn callers(address: SocketAddr, folder: &str, streams: u64, count: usize) -> Vec<Self> {
        let (folder, next, left) = (Arc::from(folder), Arc::default(), Allowance::of(streams));
        let caller = || Self {
            line: Line::to(address),
            folder: Arc::clone(&folder),
            next: Arc::clone(&next),
            left: left.clone(),
        };
        std::iter::repeat_with(caller).take(count).collect()
    }
}

impl Call for Create {
    async fn call(&mut self) -> Result<(), String> {
        self.left.take();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let create = request("PUT", &format!("{}/{number}", self.folder), Some(Content::Binary.media_type()), b"");
        let head = self.line.exchange(&create, 201).await?;
        head.next.map(drop).ok_or("a create was answered without an offset".to_owned())
    }

    fn is_done(&self) -> bool {
        self.left.is_used_up()
    }
}

impl Read {
    /// As many as `count` callers, which read the stream at `path` and compare it with `expected`: JSON messages with
    /// commas between them and no brackets around, or bytes.
    pub fn callers(address: SocketAddr, path: &str, content: Content, expected: &Bytes, count: usize) -> Vec<Self> {
        let (path, first) = (Arc::from(path), request("GET", path, None, b""));
        let caller = || Self {
            line: Line::to(address),
            path: Arc::clone(&path),
            first: first.clone(),
            content,
            expected: expected.clone(),
        };
        std::iter::repeat_with(caller).take(count).collect()
    }

    /// Reads the stream once, whatever is in it, in the form that is expected.
    pub async fn all(address: SocketAddr, path: &str, content: Content) -> Result<Vec<u8>, String> {
        let mut caller = Self::callers(address, path, content, &Bytes::new(), 1).remove(0);
        let mut all = Vec::new();
        let mut next = caller.part(None).await?;
        all.extend_from_slice(bare(content, &caller.line.body)?);
        while let Some(offset) = next {
            next = caller.part(Some(&offset)).await?;
            if content == Content::Json {
                all.push(b',');
            }
            all.extend_from_slice(bare(content, &caller.line.body)?);
        }
        Ok(all)
    }

    /// Reads from an offset on, and returns where the next part begins, if there is one.
    async fn part(&mut self, offset: Option<&str>) -> Result<Option<String>, String> {
        let head = match offset {
            None => self.line.exchange(&self.first, 200).await?,
            Some(offset) => {
                let path = format!("{}?offset={offset}", self.path);
                self.line.exchange(&request("GET", &path, None, b""), 200).await?
            }
        };
        // A static file has no offset.
        Ok(head.next.filter(|_| !head.up_to_date))
    }
}

impl Call for Read {
    async fn call(&mut self) -> Result<(), String> {
        let mut next = self.part(None).await?;
        let mut at = 0;
        loop {
            let part = bare(self.content, &self.line.body)?;
            if self.expected.get(at..at + part.len()) != Some(part) {
                return Err(format!("what was read from byte {at} on is not what was appended: {}", excerpt(part)));
            }
            at += part.len();
            let Some(offset) = next else { break };
            if part.is_empty() {
                return Err("a part was empty before the end".to_owned());
            }
            at += usize::from(self.content == Content::Json);
            next = self.part(Some(&offset)).await?;
        }
        if at != self.expected.len() {
            return Err(format!("{at} bytes were read instead of {}", self.expected.len()));
        }
        Ok(())
    }
}

/// A body without the brackets of JSON.
fn bare(content: Content, body: &[u8]) -> Result<&[u8], String> {
    match content {
        Content::Binary => Ok(body),
        Content::Json => {
            let inner = body.strip_prefix(b"[").and_then(|body| body.strip_suffix(b"]"));
            inner.ok_or_else(|| format!("not a JSON array: {}", excerpt(body)))
        }
    }
}
