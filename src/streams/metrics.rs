//! Metrics of the streams.

use std::path::Path;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::config::{Config, StoreKind};
use super::rules::Ledger;
use crate::metrics::{Histogram, Labelled};

/// The states that a store can be in.
const STATES: [StoreState; 3] = [StoreState::Ok, StoreState::Full, StoreState::Failed];

/// The counters and gauges of one [`Streams`](super::Streams). Those that describe all streams, or the store, are updated
/// only on request.
pub(crate) struct Metrics {
    pub(crate) created: Counter,
    pub(crate) appended: Counter,
    pub(crate) bytes_appended: Counter,
    pub(crate) bytes_read: Counter,
    pub(crate) refused: Counter,
    pub(crate) webhooks: Webhooks,
    pub(crate) live_readers: Gauge,
    pub(crate) streams: Gauge,
    pub(crate) content_bytes: Gauge,
    pub(crate) metadata_bytes: Gauge,
    pub(crate) append_duration: Histogram,
    store_state: Labelled<1, Gauge>,
    content_bytes_max: Gauge,
    disk_free_bytes: Gauge,
    disk_free_bytes_min: Gauge,
    disk_bytes: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            created: Counter::default(),
            appended: Counter::default(),
            bytes_appended: Counter::default(),
            bytes_read: Counter::default(),
            refused: Counter::default(),
            webhooks: Webhooks::default(),
            live_readers: Gauge::default(),
            streams: Gauge::default(),
            content_bytes: Gauge::default(),
            metadata_bytes: Gauge::default(),
            append_duration: Histogram::default(),
            store_state: Labelled::new(["state"]),
            content_bytes_max: Gauge::default(),
            disk_free_bytes: Gauge::default(),
            disk_free_bytes_min: Gauge::default(),
            disk_bytes: Gauge::default(),
        }
    }
}

/// State of the store, for its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreState {
    /// It takes content.
    Ok,
    /// It takes no content, as the disk has too little free space.
    Full,
    /// It takes nothing any more.
    Failed,
}

impl StoreState {
    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Full => "full",
            Self::Failed => "failed",
        }
    }
}

/// Metrics of webhook calls. Cheap to clone; clones count together.
#[derive(Clone, Default)]
pub(crate) struct Webhooks {
    pub(crate) called: Counter,
    pub(crate) failed: Counter,
    pub(crate) duration: Histogram,
}

impl Metrics {
    /// Registers every metric of streams with this configuration, under the prefix `exorelay_streams`.
    pub(crate) fn register(&self, config: &Config, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("exorelay_streams");
        let mut counter = |name: &str, help: &str, counter: &Counter| registry.register(name, help, counter.clone());
        counter("created", "Streams that were created", &self.created);
        counter("appends", "Appends that wrote something", &self.appended);
        counter("bytes_appended", "Bytes of content that were appended", &self.bytes_appended);
        counter("bytes_read", "Bytes of content that were read", &self.bytes_read);
        counter("refused", "Calls that were refused and changed nothing", &self.refused);
        counter("webhooks", "Calls of webhooks that were answered", &self.webhooks.called);
        counter("webhooks_failed", "Calls of webhooks that failed and are repeated", &self.webhooks.failed);
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("live_readers", "Long-polls and event streams that are open", &self.live_readers);
        gauge("streams", "Current number of streams", &self.streams);
        gauge("content_bytes", "Bytes of content of all streams", &self.content_bytes);
        let help = "Bytes that all streams take besides their content, approximately";
        gauge("metadata_bytes", help, &self.metadata_bytes);
        match config.store {
            StoreKind::Memory => {
                gauge("content_max_bytes", "Maximum bytes of content of all streams", &self.content_bytes_max);
            }
            StoreKind::Disk => {
                gauge("disk_free_bytes", "Free bytes of the disk with the data folder", &self.disk_free_bytes);
                let help = "Free bytes of the disk below which content is refused";
                gauge("disk_free_min_bytes", help, &self.disk_free_bytes_min);
                gauge("disk_size_bytes", "Size of the disk with the data folder", &self.disk_bytes);
            }
        }
        registry.register("store_state", "1 for the state that the store is in", self.store_state.clone());
        let help = "Time from a call that appends until what it wrote is durable";
        registry.register("append_duration_seconds", help, self.append_duration.clone());
        let help = "Time from a call of a webhook to its answer, or to its failure";
        registry.register("webhook_duration_seconds", help, self.webhooks.duration.clone());
    }

    /// Sets the gauges of the state of all streams.
    pub(crate) fn set_ledger(&self, ledger: &Ledger) {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.streams.set(number(ledger.streams_count() as u64));
        self.content_bytes.set(number(ledger.content_bytes()));
        self.metadata_bytes.set(number(ledger.metadata_bytes()));
    }

    /// Sets the gauges of the store.
    pub(crate) fn set_store(&self, config: &Config, state: StoreState) {
        for each in STATES {
            self.store_state.get([each.label()]).set(i64::from(each == state));
        }
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.content_bytes_max.set(bytes(config.content_bytes_max as u64));
        self.disk_free_bytes_min.set(bytes(config.disk_free_bytes_min));
        if let Some((free, size)) = disk_of(Path::new(&config.data_dir)).filter(|_| config.store == StoreKind::Disk) {
            self.disk_free_bytes.set(bytes(free));
            self.disk_bytes.set(bytes(size));
        }
    }
}

/// Returns the free bytes of the disk with this folder, and its size.
fn disk_of(dir: &Path) -> Option<(u64, u64)> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    Some((disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize)))
}

/// Counts a live reader until it is dropped.
pub(crate) struct LiveReader(Gauge);

impl LiveReader {
    pub(crate) fn begin(metrics: &Metrics) -> Self {
        metrics.live_readers.inc();
        Self(metrics.live_readers.clone())
    }
}

impl Drop for LiveReader {
    fn drop(&mut self) {
        self.0.dec();
    }
}
