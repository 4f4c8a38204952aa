//! Starts and drains the server processes.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use super::child::{Prepared, ServiceCommand, Supervised};
use super::edge::{Edge, Listener};
use super::reload::Reloader;
use super::service::Gate;
use super::sidecar::Sidecar;
use super::signals::Signals;
use super::streams::StreamsSystem;
use super::system::System;
use super::{Config, Error, greeter, ready};
use crate::broker::{self, Broker};
use crate::http::{ListenerMetrics, Listening, Serving};
use crate::metrics::process_registry;
use crate::time::deadline_in;

/// The address at which `exorelay dev` serves the edge by default.
const EDGE_ADDRESS_DEFAULT: &str = "127.0.0.1:4002";

/// Access to the broker of a sidecar whose `bus.url` is `embedded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddedBroker {
    /// Only this process can use it.
    Private,
    /// Other processes can use it at `broker.address`.
    Listening,
}

/// Runs broker, sidecar, edge and greeter until SIGTERM or Ctrl-C. The edge uses `threads` dedicated threads.
/// Not cancel-safe: a dropped call does not drain.
pub async fn dev(mut config: Config, threads: NonZeroUsize) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    if config.relay.role.is_none() {
        config.relay.role = crate::message::Role::parse("dev").ok();
    }
    if config.relay.receives.is_empty() {
        // So that the greeter's replies to plain sends are queued for subscribers of the api.
        config.relay.receives.extend(crate::message::MessageName::parse("greeting"));
    }
    // All services are in this process, so a message without a receiver can be refused from the start.
    config.broker.settle_ms = 0;
    let (broker, serving) = open_broker(&config, "--broker HOST:PORT", |_| Ok(())).await?;
    let sidecar = Sidecar::start(&config, Some(&broker), Gate::Open).await?;
    let greeter = greeter::start(&broker).await?;
    let edge = open_edge(&config, threads).await?;
    print_tour(&sidecar, &edge);
    let drain = async {
        // The edge first, so that clients start nothing new while the services finish.
        edge.close(config.drain.grace()).await;
        let left = sidecar.relay.close_within(config.drain.grace()).await;
        greeter.close_within(config.drain.grace()).await;
        left + close_broker(&config, broker, serving).await
    };
    signals.then_drain(drain).await;
    Ok(())
}

/// Runs the sidecar, the edge if `edge.address` is set, and `service` beside them, until SIGTERM or Ctrl-C, or the service
/// has ended for good. The edge uses `threads` dedicated threads. Not cancel-safe: a dropped call does not drain.
pub async fn run(
    mut config: Config,
    embedded: EmbeddedBroker,
    threads: NonZeroUsize,
    service: Option<ServiceCommand>,
) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    let service = match service {
        Some(service) => Some(service.prepare(&mut config).await?),
        None => None,
    };
    let broker = match (config.bus.url.as_str(), embedded) {
        ("embedded", EmbeddedBroker::Private) => {
            // No other process can register with it or follow its traffic.
            let config = broker::Config { settle_ms: 0, traffic_messages_max: 0, ..broker_config(&config) };
            Some((Broker::start(config), None))
        }
        ("embedded", EmbeddedBroker::Listening) => {
            let (broker, serving) = open_broker(&config, "--broker HOST:PORT", |_| Ok(())).await?;
            Some((broker, Some(serving)))
        }
        _ => None,
    };
    // A service that receives nothing need not listen.
    let is_awaited = service.is_some() && !config.relay.receives.is_empty();
    let gate = if is_awaited { Gate::Closed } else { Gate::Open };
    let sidecar = Sidecar::start(&config, broker.as_ref().map(|(broker, _)| broker), gate).await?;
    let edge = match config.edge.address.is_empty() {
        true => None,
        false => Some(open_edge(&config, threads).await?),
    };
    let program = service.as_ref().map(Prepared::program).unwrap_or_default();
    let service = service.map(|service| sidecar.supervise(service)).transpose()?;
    let ended = service.as_ref().map(Supervised::ended);
    let ended = async move {
        match ended {
            Some(ended) => ended.await,
            None => std::future::pending().await,
        }
    };
    let drain = async {
        let deadline = deadline_in(config.drain.grace());
        if let Some(edge) = edge {
            edge.close(config.drain.grace()).await;
        }
        let left = sidecar.relay.close_within(config.drain.grace()).await;
        if let Some(service) = service {
            service.stop(deadline).await;
        }
        match broker {
            Some((broker, Some(serving))) => left + close_broker(&config, broker, serving).await,
            Some((broker, None)) => left + broker.close(config.drain.grace()).await,
            None => left,
        }
    };
    match signals.drain_after(ended, drain).await {
        Some(ended) => ended.into_result(program),
        None => Ok(()),
    }
}

/// Runs the broker until SIGTERM or Ctrl-C. `landscape` is a path for [`landscape::read`](super::landscape::read); SIGHUP
/// reloads it. Not cancel-safe: a dropped call does not drain.
pub async fn broker(config: Config, landscape: Option<PathBuf>) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    let reloader = Reloader::start(landscape)?;
    let (broker, serving) = open_broker(&config, "--listen HOST:PORT", |broker| reloader.configure(broker)).await?;
    let following = reloader.follow(broker.clone());
    tokio::select! {
        never = following => match never {},
        () = signals.then_drain(close_broker(&config, broker, serving)) => Ok(()),
    }
}

/// Runs Durable Streams alone, on `threads` dedicated threads, until SIGTERM or Ctrl-C.
/// Not cancel-safe: a dropped call does not drain.
pub async fn streams(config: Config, threads: NonZeroUsize) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    let listener = Listener { name: "streams", flag: "--listen HOST:PORT", address: &config.streams.address };
    let systems = async { Ok(vec![StreamsSystem::open(&config.streams).await?]) };
    let edge = Edge::open(listener, systems, threads, &config.http).await?;
    let drain = async {
        edge.close(config.drain.grace()).await;
        0
    };
    signals.then_drain(drain).await;
    Ok(())
}

/// Opens every system of the edge.
async fn systems(config: &Config) -> Result<Vec<Arc<dyn System>>, Error> {
    Ok(vec![StreamsSystem::open(&config.streams).await?])
}

/// Opens the edge at the configured address, else at its default.
async fn open_edge(config: &Config, threads: NonZeroUsize) -> Result<Edge, Error> {
    let configured = &config.edge.address;
    let address = if configured.is_empty() { EDGE_ADDRESS_DEFAULT } else { configured };
    let listener = Listener { name: "edge", flag: "--edge HOST:PORT", address };
    Edge::open(listener, systems(config), threads, &config.http).await
}

/// Binds the broker's listener, starts the broker, applies `configure`, then accepts connections. `flag` is the option
/// that sets the address, for error messages.
async fn open_broker(
    config: &Config,
    flag: &'static str,
    configure: impl FnOnce(&Broker) -> Result<(), Error>,
) -> Result<(Broker, Serving), Error> {
    let mut registry = process_registry();
    let listening = Listening::bind(flag, &config.broker.address).await?;
    let listening = listening.counted(&ListenerMetrics::register(&mut registry), "broker");
    let broker = Broker::start(broker_config(config));
    configure(&broker)?;
    let router = broker::routes::router_with(broker.clone(), &config.http, registry);
    let serving = listening.serve(router, &config.http);
    ready::announce("broker", serving.address());
    Ok((broker, serving))
}

/// Returns the settings of the broker with the bounds that follow from the largest payload.
fn broker_config(config: &Config) -> broker::Config {
    let mut broker = config.broker.clone();
    broker.payload_bytes_max = config.http.body_bytes_max;
    broker.frame_bytes_max = broker.frame_bytes_max.max(config.http.envelope_bytes_max());
    broker
}

pub(super) async fn close_broker(config: &Config, broker: Broker, serving: Serving) -> usize {
    broker.drain(config.drain.grace()).await;
    // Before the connections end: their clients come back at once, and originals do not survive a refusal. exo 3.9, 8.
    serving.close_port().await;
    let left = broker.stop().await;
    serving.drain(config.drain.grace()).await;
    left
}

fn print_tour(sidecar: &Sidecar, edge: &Edge) {
    let (api, edge) = (sidecar.api, edge.address());
    println!(
        "\nThe service `greeter` replies to `hello` with `greeting`. Try it in another terminal:\n\n  \
         request        curl -d '{{\"name\":\"world\"}}' http://{api}/request/hello\n  \
         send           curl -d '{{\"name\":\"world\"}}' http://{api}/send/hello\n  \
         follow         curl -N http://{api}/messages\n\n\
         The edge serves Durable Streams to browsers and other clients:\n\n  \
         write a stream curl -X PUT -H 'content-type: text/plain' -d 'hello stream' http://{edge}/v1/stream/notes\n  \
         read a stream  curl http://{edge}/v1/stream/notes\n\nCtrl-C stops."
    );
}
