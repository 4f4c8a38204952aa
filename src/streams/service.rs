//! The handle to all streams: runs commands through the writer, and opens readers.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

use super::clock::Clock;
use super::config::Config;
use super::error::Error;
use super::event_cache::EventCache;
use super::fork_point::read_fork_point;
use super::lifecycle::LifecycleEvents;
use super::metrics::{Metrics, StoreState};
use super::read_budget::ReadBudget;
use super::read_view::{Deleted, ReadableStream};
use super::reader::Reader;
use super::recovery::recover;
use super::rules::{Appended, Change, Content, Created, Effect, Ledger, Refusal};
use super::shared::{Inner, Shared};
use super::subscriptions::{HttpWebhookClient, RecoveredSubscriptions, SubscriptionService, WebhookClient};
use super::sweeper::sweep_when_due;
use super::wire::{AppendRequest, Begin, ContentType, CreateRequest, Kind, Lifetime, Offset, StreamPath};
use super::writer::{Origin, Writer};
use crate::http::WorkerHandle;
use crate::metrics::openmetrics;
use crate::store::{MemoryStore, Pace, Store, checksum_of};

/// A handle to all streams. Cheap to clone; its tasks end with the last clone.
#[derive(Clone)]
pub struct Streams {
    shared: Shared,
}

/// The answer to a `HEAD` request.
#[derive(Debug, Clone)]
pub struct Description {
    /// The media type.
    pub content_type: ContentType,
    /// The offset of the end.
    pub next: Offset,
    /// The lifetime.
    pub lifetime: Lifetime,
    /// True if the stream is closed.
    pub closed: bool,
    /// A number that identifies this life of the stream.
    pub life: u64,
}

impl Streams {
    /// Opens an empty set of streams in memory, whatever `config.store` is: see [`Streams::configured`]. Panics outside of a
    /// tokio runtime.
    pub fn in_memory(config: Config) -> Self {
        Self::open(config, Arc::new(MemoryStore::default())).expect("an empty store has no malformed entries")
    }

    /// Opens the streams in `store`. Reads all entries, which blocks as long as the store does; panics outside of a tokio
    /// runtime. A store that blocks is written by a thread of the streams, or by the [`Workers`](crate::http::Workers) of a
    /// listener while there is a single writer.
    ///
    /// Errors: [`Error::StoreRead`], [`Error::MalformedEntry`]; [`Error::StoreFailed`] if the system refuses the thread.
    pub fn open(config: Config, store: Arc<dyn Store>) -> Result<Self, Error> {
        let webhook_client = HttpWebhookClient::new(&config);
        Self::open_with(config, store, Arc::new(webhook_client))
    }

    /// Opens the streams with another webhook client.
    pub(super) fn open_with(
        config: Config,
        store: Arc<dyn Store>,
        webhook_client: Arc<dyn WebhookClient>,
    ) -> Result<Self, Error> {
        let clock = Clock::start();
        let (mut ledger, view) = recover(&*store, &config, clock.now_ms())?;
        let subscriptions = RecoveredSubscriptions::recover(&*store, &config, &mut ledger, clock.now_ms())?;
        let writer = Writer::start(store, ledger, view, subscriptions.observer(), (clock, &config));
        let writer =
            writer.map_err(|error| Error::StoreFailed { cause: format!("no thread to write with: {error}") })?;
        let metrics = Metrics::default();
        let subscriptions =
            subscriptions.start(Arc::clone(&writer), &config, (webhook_client, metrics.webhooks.clone()));
        let (stop, draining) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();
        tasks.spawn(sweep_when_due(Arc::clone(&writer), stop.clone()));
        tasks.spawn(subscriptions.clone().run(stop.clone(), draining.clone()));
        tasks.close();
        let (event_cache, read_budget) = (EventCache::default(), ReadBudget::new(config.reading_bytes_max));
        let stop_all = stop.clone();
        let inner =
            Inner { config, writer, metrics, event_cache, read_budget, subscriptions, draining, stop: stop_all, tasks };
        let shared = Shared { inner: Arc::new(inner), tasks_end: Arc::new(stop.drop_guard()) };
        Ok(Self { shared })
    }

    /// Creates a stream with `body` as its first content, or finds it with the same configuration. Durable when it
    /// returns. Not cancel-safe: a dropped call may still create the stream. Errors: [`Error::Refused`], [`Error::Busy`], [`Error::NoRoom`], [`Error::StoreFailed`],
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
        let source = match &request.fork {
            Some(fork) => read_fork_point(&self.shared, fork).await?,
            None => None,
        };
        let content = self.prepare(body, self.expected_kind(request));
        let decide = move |ledger: &mut Ledger, now_ms, changes: &mut Vec<Change>| {
            // Released with the decision: the commit may take a while.
            let after_offset = source.as_ref().map(|(append, _)| append);
            ledger.create(now_ms, path, request, (content, after_offset), changes)
        };
        let created = self.submit(Origin { reservation, worker }, decide).await?;
        if created.new {
            self.metrics().created.inc();
            tracing::debug!(%path, "stream created");
        }
        Ok(created)
    }

    /// Appends `body`, closes the stream, or both. Durable when it returns. Not cancel-safe: a dropped call may still
    /// append. Errors: as for [`Streams::create`].
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
        let (bytes, began) = (body.len() as u64, Instant::now());
        let reservation = if bytes > 0 { Some(self.writer().reserve(bytes)?) } else { None };
        let kind = request.content_type.as_ref().map_or(Kind::Binary, ContentType::kind);
        let content = self.prepare(body, kind);
        let decide = |ledger: &mut Ledger, now_ms, changes: &mut Vec<Change>| {
            ledger.append(now_ms, path, request, content, changes)
        };
        let appended = self.submit(Origin { reservation, worker }, decide).await?;
        if appended.effect == Effect::Wrote {
            self.metrics().appended.inc();
            self.metrics().bytes_appended.inc_by(bytes);
            self.metrics().append_duration.observe(began.elapsed());
        }
        Ok(appended)
    }

    /// Deletes a stream. Durable when it returns. Not cancel-safe: a dropped call may still delete it. Errors: as for [`Streams::create`].
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

    /// Describes a stream. This does not count as a use of it. Errors: [`Error::Refused`].
    pub fn describe(&self, path: &StreamPath) -> Result<Description, Error> {
        let stream = self.find(path)?;
        let end = stream.end();
        let (content_type, lifetime) = (stream.content_type.clone(), stream.lifetime.clone());
        Ok(Description {
            content_type,
            next: stream.offset_at(end.tail),
            lifetime,
            closed: end.closed,
            life: stream.life(),
        })
    }

    /// Opens a reader, which counts as a use of the stream. Errors: [`Error::Refused`].
    pub fn read(&self, path: &StreamPath, begin: Begin) -> Result<Reader, Error> {
        Reader::open(&self.shared, self.find(path)?, begin)
    }

    /// Listens to the lifecycle of all streams from now on. Events come in the order of the decisions, each after its change
    /// is durable and visible; the caller that made the change may get its answer a little earlier or later.
    ///
    /// A slow listener holds up nothing: if it is more than `lifecycle_events_max` events behind, it misses the oldest
    /// and gets [`Missed`](super::Missed). The registry has those, and everything from before this process started.
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
    ///     None => println!("the streams are closed"),
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

    /// The reason why nothing can be written any more, if the store has failed.
    pub fn failure(&self) -> Option<String> {
        self.writer().failure()
    }

    /// Returns the problem that keeps the streams from working: the store failed or lacks something, or they are draining.
    pub fn readiness(&self) -> Result<(), Error> {
        match self.failure() {
            Some(cause) => Err(Error::StoreFailed { cause }),
            None => self.check_accepting().and_then(|()| Ok(self.writer().store().readiness()?)),
        }
    }

    /// Registers the metrics under the prefix `exorelay_streams`.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.metrics().register(self.config(), registry);
    }

    /// Updates the gauges that are computed on request.
    pub fn refresh_metrics(&self) {
        self.with_ledger(|ledger, _| self.metrics().set_ledger(ledger));
        let state = match (self.failure(), self.writer().reserve(0)) {
            (Some(_), _) => StoreState::Failed,
            (None, Err(_)) => StoreState::Full,
            (None, Ok(_)) => StoreState::Ok,
        };
        self.metrics().set_store(self.config(), state);
    }

    /// Returns the current metrics in the OpenMetrics text form.
    pub fn metrics_text(&self) -> String {
        let mut registry = Registry::default();
        self.register_metrics(&mut registry);
        self.refresh_metrics();
        openmetrics(&registry)
    }

    /// Accepts no new commands from now on, answers long-polls, and ends event streams, whose clients can continue where they
    /// were.
    pub fn drain(&self) {
        self.shared.inner.draining.cancel();
    }

    /// Drains, and ends the tasks. When it returns, the store is closed, unless a clone or a reader is left. A dropped call
    /// ends them all the same; the store closes a little later.
    pub async fn close(self) {
        self.drain();
        self.shared.inner.stop.cancel();
        self.shared.inner.tasks.wait().await;
        let Shared { inner, tasks_end } = self.shared;
        drop(tasks_end);
        let ended = inner.writer.ended();
        // The writer's thread may still use the store. If there is another clone, the last one closes the store.
        if Arc::into_inner(inner).is_some() {
            ended.cancelled().await;
        }
    }

    /// Returns true once [`Streams::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.shared.inner.draining.is_cancelled()
    }

    pub(super) fn drained(&self) -> WaitForCancellationFuture<'_> {
        self.shared.inner.draining.cancelled()
    }

    pub(super) fn subscriptions(&self) -> &SubscriptionService {
        &self.shared.inner.subscriptions
    }

    pub(super) fn writer(&self) -> &Writer {
        self.shared.writer()
    }

    pub(super) fn metrics(&self) -> &Metrics {
        self.shared.metrics()
    }

    pub(super) fn event_cache(&self) -> &EventCache {
        &self.shared.inner.event_cache
    }

    pub(super) fn read_budget(&self) -> &ReadBudget {
        &self.shared.inner.read_budget
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

    pub(super) fn check_accepting(&self) -> Result<(), Error> {
        if self.is_draining() { Err(Error::Draining) } else { Ok(()) }
    }

    /// Returns true if there is a stream of this path, in any state.
    pub(super) fn exists(&self, path: &StreamPath) -> bool {
        self.writer().view().find(path).is_some()
    }

    /// Finds a stream that can be read. Errors: [`Refusal::NotFound`], also for one that has expired; [`Refusal::Deleted`].
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

    /// Does as much work on a body as possible before the ledger is locked.
    fn prepare(&self, body: Bytes, kind: Kind) -> Content {
        let content = Content::new(body).prepared_for(kind);
        match self.store().pace() {
            Pace::Blocking => content.with_checksum(checksum_of),
            Pace::Immediate => content,
        }
    }

    /// The likely kind of content of a new stream; the decision may find another one.
    fn expected_kind(&self, request: &CreateRequest) -> Kind {
        let of_source = || {
            let source = self.writer().view().find(&request.fork.as_ref()?.source)?;
            Some(source.content_type.kind())
        };
        match &request.content_type {
            Some(content_type) => content_type.kind(),
            None => of_source().unwrap_or(Kind::Binary),
        }
    }
}
