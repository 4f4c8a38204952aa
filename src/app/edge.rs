//! The edge: where browsers, agents and other clients outside of the bus come in.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::start::open_streams;
use super::{Config, Error, ready};
use crate::http::{Listening, Serving, Workers};
use crate::streams::{self, Streams};

/// Where `exorelay dev` serves the edge unless told otherwise.
const ADDRESS: &str = "127.0.0.1:4002";

/// The edge at work.
pub(super) struct Edge {
    streams: Streams,
    serving: Serving,
}

impl Edge {
    /// Opens the edge, wherever it is configured, else at its usual address. It answers on so many threads of its own.
    pub(super) async fn open(config: &Config, threads: NonZeroUsize) -> Result<Self, Error> {
        let configured = &config.edge.address;
        let address = if configured.is_empty() { ADDRESS } else { configured };
        let workers = Workers::start(threads).map_err(Error::Threads)?;
        let listening = Listening::bind("edge.address (--edge)", address).await?;
        let streams = open_streams(&config.streams).await?;
        let server = streams::routes::server(streams.clone(), &config.http);
        let serving = listening.serve_with(workers, server, &config.http);
        ready::announce("edge", serving.address());
        Ok(Self { streams, serving })
    }

    /// The same, if it is configured at all.
    pub(super) async fn open_if_configured(config: &Config, threads: NonZeroUsize) -> Result<Option<Self>, Error> {
        if config.edge.address.is_empty() { Ok(None) } else { Self::open(config, threads).await.map(Some) }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// Answers who waits, ends event streams where their readers can go on, finishes what has begun.
    pub(super) async fn close(self, grace: Duration) {
        self.streams.drain();
        self.serving.drain(grace).await;
        self.streams.close().await;
    }
}
