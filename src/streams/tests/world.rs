//! Stores that wait and fail when a test says so, and short ways to call.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use tower_service::Service;

use crate::store::{Batch, Error as StoreError, LogId, MemoryStore, Pace, Run, Store, Table};
use crate::streams::{
    AppendRequest, Appended, Begin, Config, ContentType, CreateRequest, Created, Error, Lifetime, ProducerStamp,
    StreamPath, Streams, router,
};

/// What the store does with a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::streams) enum Mood {
    Works,
    /// It holds every commit until the mood changes.
    Holds,
    Fails,
    Panics,
}

/// A store that blocks.
pub(in crate::streams) struct MoodyStore {
    inner: MemoryStore,
    mood: Mutex<Mood>,
    changed: Condvar,
    pub(super) begun: AtomicUsize,
    /// The thread of each commit.
    threads: Mutex<Vec<String>>,
}

impl MoodyStore {
    pub(in crate::streams) fn new() -> Arc<Self> {
        let (mood, changed) = (Mutex::new(Mood::Works), Condvar::new());
        Arc::new(Self {
            inner: MemoryStore::default(),
            mood,
            changed,
            begun: AtomicUsize::new(0),
            threads: Mutex::default(),
        })
    }

    pub(in crate::streams) fn is_now(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
        self.changed.notify_all();
    }

    /// How many commits have begun.
    pub(in crate::streams) fn commits(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// The names of the threads that commits were made on, from the first one to the last.
    pub(super) fn threads(&self) -> Vec<String> {
        self.threads.lock().unwrap().clone()
    }
}

impl Store for MoodyStore {
    fn pace(&self) -> Pace {
        Pace::Blocking
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.threads.lock().unwrap().push(std::thread::current().name().unwrap_or_default().to_owned());
        self.begun.fetch_add(1, Ordering::SeqCst);
        let held = self.changed.wait_while(self.mood.lock().unwrap(), |mood| *mood == Mood::Holds);
        let mood = *held.unwrap();
        match mood {
            Mood::Works | Mood::Holds => self.inner.commit(batch),
            Mood::Fails => Err(StoreError::Failed("the disk is full".into())),
            Mood::Panics => panic!("a store of this test panics"),
        }
    }

    fn read(&self, log: LogId, range: Range<u64>, bytes_max: usize) -> Result<Run, StoreError> {
        self.inner.read(log, range, bytes_max)
    }

    fn read_now(&self, _: LogId, _: Range<u64>, _: usize) -> Option<Result<Run, StoreError>> {
        None
    }

    fn end(&self, log: LogId) -> Result<Option<u64>, StoreError> {
        self.inner.end(log)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(table, key)
    }

    fn scan(&self, table: Table, after: Option<&[u8]>, count_max: usize) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        self.inner.scan(table, after, count_max)
    }
}

pub(in crate::streams) fn path(text: &str) -> StreamPath {
    StreamPath::parse(text).unwrap()
}

pub(super) fn text_stream() -> CreateRequest {
    CreateRequest { content_type: ContentType::parse("text/plain"), lifetime: None, closed: false, fork: None }
}

pub(super) fn idle_stream(ttl_s: u64) -> CreateRequest {
    CreateRequest { lifetime: Some(Lifetime::Idle { ttl_s }), ..text_stream() }
}

pub(super) fn text() -> AppendRequest {
    AppendRequest { content_type: ContentType::parse("text/plain"), closed: false, seq: None, producer: None }
}

pub(super) fn produced(seq: u64) -> AppendRequest {
    AppendRequest { producer: Some(ProducerStamp { id: "p".into(), epoch: 0, seq }), ..text() }
}

pub(super) async fn create(streams: &Streams, name: &str, request: &CreateRequest) -> Result<Created, Error> {
    streams.create(&path(name), request, Bytes::new()).await
}

pub(super) async fn append(streams: &Streams, name: &str, body: &'static str) -> Result<Appended, Error> {
    streams.append(&path(name), &text(), Bytes::from_static(body.as_bytes())).await
}

/// Everything a reader sees of a stream.
pub(super) async fn seen(streams: &Streams, name: &str) -> Result<String, Error> {
    let slice = streams.read(&path(name), Begin::Start)?.take(usize::MAX).await?;
    Ok(String::from_utf8(slice.chunks.concat()).unwrap())
}

/// Calls the router as a server does.
pub(super) async fn get(streams: &Streams, target: &str) -> Response<Body> {
    let request = Request::get(target).body(Body::empty()).unwrap();
    router(streams.clone()).call(request).await.unwrap()
}

/// Lets everything run that can, until `done`. The deadline counts real time, so it also works while the clock stands.
pub(in crate::streams) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::task::yield_now().await;
    }
}

/// How many bytes all streams hold beside the registry.
pub(super) fn content_bytes(streams: &Streams) -> u64 {
    streams.with_ledger(|ledger, _| {
        let registry = ledger.stream(&StreamPath::registry()).map_or(0, |registry| registry.tail);
        ledger.content_bytes() - registry
    })
}

pub(super) fn config() -> Config {
    Config::default()
}
