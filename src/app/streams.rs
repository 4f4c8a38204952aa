//! Durable Streams as a [`System`].

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use prometheus_client::registry::Registry;

use super::Error;
use super::system::{Routes, System};
use crate::http::{Limits, Problem};
use crate::streams::{self, Streams};

/// Durable Streams and their store.
pub(super) struct StreamsSystem {
    streams: Streams,
}

impl StreamsSystem {
    /// Opens the configured store and recovers the streams in it. Errors: [`Error::Store`], [`Error::Streams`].
    pub(super) async fn open(config: &streams::Config) -> Result<Arc<dyn System>, Error> {
        let store = streams::open_store(config).await?;
        let unreadable = |cause| Error::Streams { dir: PathBuf::from(&config.data_dir), cause };
        let streams = Streams::open(config.clone(), store).map_err(unreadable)?;
        Ok(Arc::new(Self { streams }))
    }
}

impl System for StreamsSystem {
    fn name(&self) -> &'static str {
        "streams"
    }

    fn routes(&self, limits: &Limits) -> Routes {
        let answers = streams::routes::server(self.streams.clone(), limits);
        Routes { paths: vec![streams::routes::PATH.to_owned()], answers: Arc::new(answers) }
    }

    fn readiness(&self) -> Result<(), Problem> {
        self.streams.readiness().map_err(Problem::from)
    }

    fn register_metrics(&self, registry: &mut Registry) {
        self.streams.register_metrics(registry);
    }

    fn refresh_metrics(&self) {
        self.streams.refresh_metrics();
    }

    fn drain(&self) {
        self.streams.drain();
    }

    fn close(self: Arc<Self>) -> BoxFuture<'static, ()> {
        let streams = self.streams.clone();
        // The last clone waits until the store is closed.
        drop(self);
        Box::pin(streams.close())
    }
}
