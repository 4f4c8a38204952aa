//! Durable Streams as a [`System`].

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use prometheus_client::registry::Registry;

use super::Error;
use super::system::{Routes, System};
use crate::http::{Introduction, Limits, ListenAddress, Problem};
use crate::streams::{self, Streams};

/// Durable Streams and their store.
pub(super) struct StreamsSystem {
    streams: Streams,
}

impl StreamsSystem {
    /// Opens the configured store and recovers the streams in it. They are served at `place`, which receivers of webhooks call
    /// back if no other URL is configured. Errors: [`Error::PublicUrl`], [`Error::Store`], [`Error::Streams`].
    pub(super) async fn open(config: &streams::Config, place: &ListenAddress) -> Result<Arc<dyn System>, Error> {
        let (mut config, address, shown) = (config.clone(), place.tcp(), place.to_string());
        config.own_listeners.add(address);
        if config.public_url.is_empty() && !address.ip().to_canonical().is_loopback() {
            return Err(Error::PublicUrl { address });
        }
        config.listener_url = if shown.starts_with("https://") { shown } else { format!("http://{shown}") };
        let store = streams::open_store(&config).await?;
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

    fn introduction(&self) -> Introduction {
        let url = "http://{host}/v1/stream/notes";
        let curl = "curl -H 'content-type: text/plain'";
        Introduction {
            about:
                "Durable Streams: append-only logs that are written and read with HTTP, and followed live. Each has a \
                    URL below /v1/stream/."
                    .into(),
            tries: vec![
                ("Create a stream", format!("{curl} -X PUT -d hello {url}")),
                ("Append to it", format!("{curl} -d ' again' {url}")),
                ("Read it", format!("curl {url}")),
                ("Follow it", format!("curl -N '{url}?offset=-1&live=sse'")),
                (
                    "Follow it in a page",
                    format!(
                        "new EventSource('{url}?offset=-1&live=sse').addEventListener('data', e => console.log(e.data))"
                    ),
                ),
            ],
            links: match self.streams.config().registry {
                true => vec![("/v1/stream/__registry__", "which streams exist, as a stream")],
                false => Vec::new(),
            },
        }
    }

    fn openapi(&self) -> &'static str {
        streams::routes::OPENAPI
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
