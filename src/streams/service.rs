//! The handle: runs the rules, has their decisions written, opens readers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

use super::clock::Clock;
use super::config::Config;
use super::error::Error;
use super::lifecycle::LifecycleEvents;
use super::metrics::Metrics;
use super::read_view::{Deleted, ReadableStream};
use super::reading::Reader;
use super::recovery::recover;
use super::rules::{Appended, Change, Content, Created, Effect, Following, Ledger, Refusal};
use super::segments::read_segments;
use super::shared::{Inner, Shared};
use super::subscriptions::{Courier, Post, Running, Subscriptions};
use super::sweeper::sweep_when_due;
use super::wire::{AppendRequest, Begin, ContentType, CreateRequest, ForkRequest, Kind, Lifetime, Offset, StreamPath};
use super::writer::{Origin, Writer};
use crate::http::WorkerHandle;
use crate::store::{MemoryStore, Pace, Store, checksum_of};

/// A handle to all streams. Cheap to clone; its tasks end with the last clone.
#[derive(Clone)]
pub struct Streams {
    shared: Shared,
}

/// What `HEAD` tells of a stream.
#[derive(Debug, Clone)]
pub struct Description {
    /// Its media type.
    pub content_type: ContentType,
    /// Its end.
    pub next: Offset,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// Whether it is closed.
    pub closed: bool,
    /// A number that tells this life of the stream from all others.
    pub life: u64,
}

impl Streams {
    /// Streams in memory, none so far. Panics outside of a tokio runtime.
    pub fn in_memory(config: Config) -> Self {
        Self::open(config, Arc::new(MemoryStore::default())).expect("an empty store holds nothing that cannot be read")
    }

    /// The streams that `store` has kept. Reads their entries, blocking as the store is; panics outside of a tokio
    /// runtime. A store that blocks gets a thread to be written to; on threads of [`Workers`](crate::http::Workers), whoever
    /// writes alone does so itself. Errors: [`Error::StoreRead`], [`Error::Kept`].
    pub fn open(config: Config, store: Arc<dyn Store>) -> Result<Self, Error> {
        let courier = Courier::new(&config);
        Self::open_with(config, store, Arc::new(courier))
    }

    /// Opens with another way to call the receivers of webhooks.
    pub(super) fn open_with(config: Config, store: Arc<dyn Store>, post: Arc<dyn Post>) -> Result<Self, Error> {
        let clock = Clock::start();
        let (mut ledger, view) = recover(&*store, &config, clock.now_ms())?;
        let subscriptions = Subscriptions::recover(&*store, &config, &mut ledger, clock.now_ms())?;
        let writer = Writer::start(store, ledger, view, clock, &config);
        let writer =
            writer.map_err(|error| Error::StoreFailed { cause: format!("no thread to write with: {error}") })?;
        let metrics = Metrics::default();
        let subscriptions = subscriptions.start(Arc::clone(&writer), &config, (post, metrics.webhooks.clone()));
        let (stop, draining) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();
        tasks.spawn(sweep_when_due(Arc::clone(&writer), stop.clone()));
        tasks.spawn(subscriptions.clone().run(stop.clone(), draining.clone()));
        tasks.close();
        let inner = Inner { config, writer, metrics, subscriptions, draining, stop: stop.clone(), tasks };
        let shared = Shared { inner: Arc::new(inner), tasks_end: Arc::new(stop.drop_guard()) };
        Ok(Self { shared })
    }

    /// Creates a stream with `body` as its first content, or finds it with the same configuration. Written when it
    /// answers. Errors: [`Error::Refused`], [`Error::Busy`], [`Error::NoRoom`], [`Error::StoreFailed`],
    /// [`Error::Draining`].
    pub async fn create(&self, path: &StreamPath, request: &CreateRequest, body: Bytes) -> Result<Created, Error> {
        self.create_from(None, path, request, body).await
    }

    /// Creates a stream as [`Streams::create`] does, for a request that `worker` serves.
    pub(super) async fn create_from(
        &self,
        worker: Option<&WorkerHandle>,
        path: &StreamPath,
        request: &CreateRequest,
        body: Bytes,
    ) -> Result<Created, Error> {
        self.check_accepting()?;
        let reservation = Some(self.writer().reserve(body.len() as u64)?);
        let following = match &request.fork {
            Some(fork) => self.following(fork).await?,
            None => None,
        };
        let content = self.prepared(body, self.kind_of_new(request));
        let decide = |ledger: &mut Ledger, now_ms, changes: &mut Vec<Change>| {
            ledger.create(now_ms, path, request, (content, following.as_ref()), changes)
        };
        let created = self.submit(Origin { reservation, worker }, decide).await?;
        if created.new {
            self.metrics().created.inc();
            tracing::debug!(%path, "stream created");
        }
        Ok(created)
    }

    /// Appends `body`, closes the stream, or both. Written when it answers; not cancel-safe: a dropped call may still
    /// be written. Errors: as of [`Streams::create`].
    pub async fn append(&self, path: &StreamPath, request: &AppendRequest, body: Bytes) -> Result<Appended, Error> {
        self.append_from(None, path, request, body).await
    }

    /// Appends as [`Streams::append`] does, for a request that `worker` serves.
    pub(super) async fn append_from(
        &self,
        worker: Option<&WorkerHandle>,
        path: &StreamPath,
        request: &AppendRequest,
        body: Bytes,
    ) -> Result<Appended, Error> {
        self.check_accepting()?;
        let bytes = body.len() as u64;
        let reservation = if bytes > 0 { Some(self.writer().reserve(bytes)?) } else { None };
        let kind = request.content_type.as_ref().map_or(Kind::Binary, ContentType::kind);
        let content = self.prepared(body, kind);
        let decide = |ledger: &mut Ledger, now_ms, changes: &mut Vec<Change>| {
            ledger.append(now_ms, path, request, content, changes)
        };
        let appended = self.submit(Origin { reservation, worker }, decide).await?;
        if appended.effect == Effect::Wrote {
            self.metrics().appended.inc();
            self.metrics().bytes_appended.inc_by(bytes);
        }
        Ok(appended)
    }

    /// Deletes a stream. Errors: as of [`Streams::create`].
    pub async fn delete(&self, path: &StreamPath) -> Result<(), Error> {
        self.delete_from(None, path).await
    }

    /// Deletes a stream as [`Streams::delete`] does, for a request that `worker` serves.
    pub(super) async fn delete_from(&self, worker: Option<&WorkerHandle>, path: &StreamPath) -> Result<(), Error> {
        self.check_accepting()?;
        let origin = Origin { reservation: None, worker };
        self.submit(origin, |ledger, now_ms, changes| ledger.delete(now_ms, path, changes)).await?;
        tracing::debug!(%path, "stream deleted");
        Ok(())
    }

    /// Tells of a stream without using it. Errors: [`Error::Refused`].
    pub fn describe(&self, path: &StreamPath) -> Result<Description, Error> {
        let stream = self.find(path)?;
        let end = stream.end();
        let (content_type, lifetime) = (stream.content_type.clone(), stream.lifetime.clone());
        Ok(Description { content_type, next: Offset::at(end.tail), lifetime, closed: end.closed, life: stream.log })
    }

    /// Opens a reader; that counts as a use of the stream. Errors: [`Error::Refused`].
    pub fn read(&self, path: &StreamPath, begin: Begin) -> Result<Reader, Error> {
        Reader::open(&self.shared, self.find(path)?, begin)
    }

    /// What begins, closes and ends from now on, in the order in which it was decided, each event after it is written
    /// and visible; the caller whose request it was may have its answer a little earlier or later. Listening slows nobody
    /// down: a listener that is `lifecycle_events_max` behind misses the oldest, is told so, and finds them in the
    /// registry, as it does with what happened while the process was away.
    ///
    /// ```
    /// use exorelay::streams::{Config, CreateRequest, Happened, StreamPath, Streams};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let streams = Streams::in_memory(Config::default());
    /// let mut events = streams.lifecycle();
    /// streams.create(&StreamPath::parse("orders")?, &CreateRequest::default(), Default::default()).await?;
    /// match events.next().await {
    ///     Some(Ok(event)) => assert_eq!((event.path.as_str(), event.happened), ("orders", Happened::Created)),
    ///     Some(Err(missed)) => println!("{missed}"),
    ///     None => println!("the streams are gone"),
    /// }
    /// # Ok(()) }
    /// ```
    pub fn lifecycle(&self) -> LifecycleEvents {
        self.writer().lifecycle().listen()
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.shared.inner.config
    }

    /// Why nothing can be written, if so.
    pub fn failure(&self) -> Option<String> {
        self.writer().failure()
    }

    /// Returns the problem that keeps the streams from working: the store failed, or they are draining.
    pub fn readiness(&self) -> Result<(), Error> {
        match self.failure() {
            Some(cause) => Err(Error::StoreFailed { cause }),
            None => self.check_accepting(),
        }
    }

    /// Registers the metrics under the prefix `exorelay_streams`.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.metrics().register(registry);
    }

    /// Updates the gauges that are computed on request.
    pub fn refresh_metrics(&self) {
        let (streams, bytes) = self.with_ledger(|ledger, _| (ledger.streams_count(), ledger.content_bytes()));
        self.metrics().streams.set(i64::try_from(streams).unwrap_or(i64::MAX));
        self.metrics().content_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Returns the current metrics in the OpenMetrics text form.
    pub fn metrics_text(&self) -> String {
        let mut registry = Registry::default();
        self.register_metrics(&mut registry);
        self.refresh_metrics();
        let mut text = String::new();
        encode(&mut text, &registry).expect("writing to a string cannot fail");
        text
    }

    /// From now on nothing new is accepted, and nobody waits: long-polls are answered, event streams end where their
    /// reader can go on.
    pub fn drain(&self) {
        self.shared.inner.draining.cancel();
    }

    /// Drains and ends. When it returns, and no clone and no reader is left, the store is closed.
    pub async fn close(self) {
        self.drain();
        self.shared.inner.stop.cancel();
        self.shared.inner.tasks.wait().await;
        let Shared { inner, tasks_end } = self.shared;
        drop(tasks_end);
        let ended = inner.writer.ended();
        // The writer's thread may still hold the store. If there is another clone, the last one closes the store.
        if Arc::into_inner(inner).is_some() {
            ended.cancelled().await;
        }
    }

    /// Whether [`Streams::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.shared.inner.draining.is_cancelled()
    }

    pub(super) fn drained(&self) -> WaitForCancellationFuture<'_> {
        self.shared.inner.draining.cancelled()
    }

    pub(super) fn subscriptions(&self) -> &Running {
        &self.shared.inner.subscriptions
    }

    fn writer(&self) -> &Writer {
        self.shared.writer()
    }

    pub(super) fn metrics(&self) -> &Metrics {
        self.shared.metrics()
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        self.shared.store()
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.writer().clock.now_ms()
    }

    pub(super) fn with_ledger<A>(&self, look: impl FnOnce(&mut Ledger, u64) -> A) -> A {
        self.shared.with_ledger(look)
    }

    /// How long until a stream of this lifetime is over if nobody uses it; `None` for no bound.
    pub(super) fn left(&self, lifetime: &Lifetime) -> Option<Duration> {
        match lifetime {
            Lifetime::Unlimited => None,
            Lifetime::Idle { ttl_s } => Some(Duration::from_secs(*ttl_s)),
            Lifetime::Until { at_ms, .. } => Some(Duration::from_millis(at_ms.saturating_sub(self.now_ms()))),
        }
    }

    async fn submit<A>(
        &self,
        origin: Origin<'_>,
        decide: impl FnOnce(&mut Ledger, u64, &mut Vec<Change>) -> Result<A, Refusal>,
    ) -> Result<A, Error> {
        let outcome = self.writer().submit_from(origin, decide).await;
        if matches!(outcome, Err(Error::Refused(_))) {
            self.metrics().refused.inc();
        }
        outcome
    }

    fn check_accepting(&self) -> Result<(), Error> {
        if self.is_draining() { Err(Error::Draining) } else { Ok(()) }
    }

    /// The stream as readers see it, if its time is not over.
    fn find(&self, path: &StreamPath) -> Result<Arc<ReadableStream>, Error> {
        let not_found = || Refusal::NotFound { path: path.clone() };
        let stream = self.writer().view().find(path).ok_or_else(not_found)?;
        if stream.end().deleted == Some(Deleted::KeptForForks) {
            return Err(Refusal::Deleted { path: path.clone() }.into());
        }
        match &stream.lifetime {
            Lifetime::Unlimited => {}
            Lifetime::Until { at_ms, .. } if *at_ms <= self.now_ms() => return Err(not_found().into()),
            Lifetime::Until { .. } => {}
            Lifetime::Idle { .. } => self.with_ledger(|ledger, now_ms| ledger.live(now_ms, path).map(drop))?,
        }
        Ok(stream)
    }

    /// What of the work on a body can be done before anybody else waits for it.
    fn prepared(&self, body: Bytes, kind: Kind) -> Content {
        let content = Content::new(body).prepared_for(kind);
        match self.store().pace() {
            Pace::Blocking => content.with_checksum(checksum_of),
            Pace::Immediate => content,
        }
    }

    /// Which kind of content a new stream will hold, as far as that can be told before the decision.
    fn kind_of_new(&self, request: &CreateRequest) -> Kind {
        let of_source = || {
            let source = self.writer().view().find(&request.fork.as_ref()?.source)?;
            Some(source.content_type.kind())
        };
        match &request.content_type {
            Some(content_type) => content_type.kind(),
            None => of_source().unwrap_or(Kind::Binary),
        }
    }

    /// What stands behind the offset of a fork, unless that is the end of the source.
    async fn following(&self, fork: &ForkRequest) -> Result<Option<Following>, Error> {
        let Some(position) = fork.offset.and_then(Offset::position) else { return Ok(None) };
        let Some(stream) = self.writer().view().find(&fork.source) else { return Ok(None) };
        let tail = stream.end().tail;
        if position >= tail {
            return Ok(None);
        }
        let log = stream.log;
        match read_segments(self.store(), &stream, (position, tail), 1).await {
            Ok((chunks, _)) => Ok(Some(Following { log, record: Some(chunks.concat().into()) })),
            Err(Error::NoOffset { .. }) => Ok(Some(Following { log, record: None })),
            Err(error) => Err(error),
        }
    }
}
