//! Starts and drains the server processes.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;

use super::access::Guards;
use super::child::ServiceCommand;
use super::drain_request::DrainRequest;
use super::edge::{Edge, Listener};
use super::operations::Part;
use super::process::{BrokerPart, Process, ServicePart};
use super::reload::Reloader;
use super::service::Gate;
use super::sidecar::Sidecar;
use super::signals::{Hangup, Signals};
use super::streams::StreamsSystem;
use super::system::System;
use super::tls::{Certificates, Wanted};
use super::{Config, Error, greeter, operations, ready};
use crate::broker::{self, Broker};
use crate::http::access::RefusalMetrics;
use crate::http::{ListenAddress, ListenerMetrics, Listening, Serving, socket_path};
use crate::message::MessageName;
use crate::metrics::process_registry;
use crate::streams;

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

/// Runs broker, sidecar, edge and greeter until SIGTERM or Ctrl-C. The edge uses `threads` dedicated threads. Errors: those of
/// the start, and [`Error::Unfinished`]. Not cancel-safe: a dropped call does not drain.
pub async fn dev(mut config: Config, threads: NonZeroUsize) -> Result<(), Error> {
    let mut signals = Signals::listen(Hangup::of(&config))?;
    let certificates = Certificates::read(&config)?;
    config.share_memory();
    if config.relay.role.is_none() {
        config.relay.role = crate::message::Role::parse("dev").ok();
    }
    let mut unread = None;
    if config.relay.receives.is_empty() {
        // So that the greeter's replies to plain sends are queued for subscribers of the api.
        unread = MessageName::parse("greeting").ok();
        config.relay.receives.extend(unread.clone());
    }
    // All services are in this process, so a message without a receiver can be refused from the start.
    config.broker.settle_ms = 0;
    let guards = Guards::read(&config)?;
    let opened = signals.unless_stopped(async {
        let all = (&config, &guards, &certificates);
        let (broker, serving, routes) = open_broker(all, "--broker HOST:PORT", |_| Ok(())).await?;
        let sidecar = Sidecar::start(&config, (&guards, &certificates), Some(&broker), Gate::Open).await?;
        let greeter = greeter::start(&broker).await?;
        let edge = open_edge(all, threads).await?;
        let parts = vec![
            Part { name: "broker", routes },
            Part { name: "api", routes: sidecar.routes.clone() },
            Part { name: "edge", routes: edge.operations() },
        ];
        let (operations, requests) = open_operations(all, parts).await?;
        print_tour(&sidecar, &edge);
        let broker = BrokerPart { broker, serving: Some(serving), closes_port_first: false };
        let relays = vec![sidecar.relay, greeter];
        let (edge, broker) = (Some(edge), Some(broker));
        Ok::<_, Error>(Process {
            edge,
            relays,
            broker,
            unread,
            operations,
            requests,
            _certificates: certificates,
            ..Process::default()
        })
    });
    match opened.await {
        Some(process) => process?.run(signals, config.drain.grace()).await,
        None => Ok(()),
    }
}

/// Runs the sidecar, the edge if `edge.address` is set, and `service` beside them, until SIGTERM or Ctrl-C, or the service
/// has ended for good. The edge uses `threads` dedicated threads. Errors: those of the start, [`Error::Unfinished`], and those of
/// a service that has ended. Not cancel-safe: a dropped call does not drain.
pub async fn run(
    config: Config,
    embedded: EmbeddedBroker,
    threads: NonZeroUsize,
    service: Option<ServiceCommand>,
) -> Result<(), Error> {
    // A service gets the signal, and may reload.
    let hangup = if service.is_some() { Hangup::Reloads } else { Hangup::of(&config) };
    let mut signals = Signals::listen(hangup)?;
    let grace = config.drain.grace();
    match signals.unless_stopped(open_sidecar(config, embedded, threads, service)).await {
        Some(process) => process?.run(signals, grace).await,
        None => Ok(()),
    }
}

/// Opens the parts of `exorelay run`.
async fn open_sidecar(
    mut config: Config,
    embedded: EmbeddedBroker,
    threads: NonZeroUsize,
    service: Option<ServiceCommand>,
) -> Result<Process, Error> {
    config.share_memory();
    let service = match service {
        Some(service) => Some(service.prepare(&mut config).await?),
        None => None,
    };
    let config = &config;
    let (guards, certificates) = (Guards::read(config)?, Certificates::read(config)?);
    let all = (config, &guards, &certificates);
    let broker = match (config.bus.url.as_str(), embedded) {
        ("embedded", EmbeddedBroker::Private) => {
            // No other process can register with it or follow its traffic.
            let config = broker::Config { settle_ms: 0, traffic_messages_max: 0, ..broker_config(config) };
            Some(BrokerPart { broker: Broker::start(config), serving: None, closes_port_first: false })
        }
        ("embedded", EmbeddedBroker::Listening) => {
            let (broker, serving, _) = open_broker(all, "--broker HOST:PORT", |_| Ok(())).await?;
            Some(BrokerPart { broker, serving: Some(serving), closes_port_first: false })
        }
        _ => None,
    };
    // A service that receives nothing need not listen.
    let is_awaited = service.is_some() && !config.relay.receives.is_empty();
    let gate = if is_awaited { Gate::Closed } else { Gate::Open };
    let embedded = broker.as_ref().map(|part| &part.broker);
    let sidecar = Sidecar::start(config, (&guards, &certificates), embedded, gate).await?;
    let edge = match config.edge.address.is_empty() {
        true => None,
        false => Some(open_edge(all, threads).await?),
    };
    let mut parts = vec![Part { name: "api", routes: sidecar.routes.clone() }];
    parts.extend(edge.as_ref().map(|edge| Part { name: "edge", routes: edge.operations() }));
    let (operations, requests) = open_operations(all, parts).await?;
    let service = match service {
        Some(service) => {
            // One of the listeners above may have its port.
            service.check_place().await?;
            let program = service.program();
            Some(ServicePart { supervised: sidecar.supervise(service)?, program })
        }
        None => None,
    };
    let relays = vec![sidecar.relay];
    Ok(Process {
        edge,
        relays,
        service,
        broker,
        operations,
        requests,
        _certificates: certificates,
        ..Process::default()
    })
}

/// Runs the broker until SIGTERM or Ctrl-C. `landscape` is a path for [`landscape::read`](super::landscape::read); SIGHUP
/// reloads it. Errors: those of the start, and [`Error::Unfinished`]. Not cancel-safe: a dropped call does not drain.
pub async fn broker(mut config: Config, landscape: Option<PathBuf>) -> Result<(), Error> {
    config.share_memory();
    let signals = Signals::listen(Hangup::Reloads)?;
    let certificates = Certificates::read(&config)?;
    let reloader = Reloader::start(landscape)?;
    let guards = Guards::read(&config)?;
    let (broker, serving, routes) =
        open_broker((&config, &guards, &certificates), "--listen HOST:PORT", |broker| reloader.configure(broker))
            .await?;
    let following = reloader.follow(broker.clone());
    let parts = vec![Part { name: "broker", routes }];
    let (operations, requests) = open_operations((&config, &guards, &certificates), parts).await?;
    let broker = BrokerPart { broker, serving: Some(serving), closes_port_first: false };
    let process =
        Process { broker: Some(broker), operations, requests, _certificates: certificates, ..Process::default() };
    tokio::select! {
        never = following => match never {},
        ended = process.run(signals, config.drain.grace()) => ended,
    }
}

/// Runs Durable Streams alone, on `threads` dedicated threads, until SIGTERM or Ctrl-C. Errors: those of the start.
/// Not cancel-safe: a dropped call does not drain.
pub async fn streams(config: Config, threads: NonZeroUsize) -> Result<(), Error> {
    let mut signals = Signals::listen(Hangup::of(&config))?;
    let certificates = Certificates::read(&config)?;
    let (address, format) = (&config.streams.address, config.log.format);
    let (access, guards) = (streams::routes::access(&config.streams, &config.http), Guards::read(&config)?);
    let (name, flag, tls) = ("streams", "--listen HOST:PORT", certificates.of("streams", Wanted(config.streams.tls))?);
    let listener = Listener { name, flag, address, format, access, guards: &guards, tls };
    let systems = async |place| systems(&config, place).await;
    let Some(edge) = signals.unless_stopped(Edge::open(listener, systems, threads, &config.http)).await else {
        return Ok(());
    };
    let edge = edge?;
    let parts = vec![Part { name: "streams", routes: edge.operations() }];
    let (operations, requests) = open_operations((&config, &guards, &certificates), parts).await?;
    let process = Process { edge: Some(edge), operations, requests, _certificates: certificates, ..Process::default() };
    process.run(signals, config.drain.grace()).await
}

/// Opens every system of the edge, which is reached at `place`.
async fn systems(config: &Config, place: ListenAddress) -> Result<Vec<Arc<dyn System>>, Error> {
    Ok(vec![StreamsSystem::open(&config.streams, &place).await?])
}

/// Opens the edge at the configured address, else at its default.
async fn open_edge((config, guards, certificates): All<'_>, threads: NonZeroUsize) -> Result<Edge, Error> {
    let configured = &config.edge.address;
    let address = if configured.is_empty() { EDGE_ADDRESS_DEFAULT } else { configured };
    let (format, access) = (config.log.format, streams::routes::access(&config.streams, &config.http));
    let (name, flag, tls) = ("edge", "--edge HOST:PORT", certificates.of("edge", Wanted(config.edge.tls))?);
    let listener = Listener { name, flag, address, format, access, guards, tls };
    Edge::open(listener, async |place| systems(config, place).await, threads, &config.http).await
}

/// Opens the listener for operators, if one is configured, and returns it with the requests to drain that it takes.
async fn open_operations(
    (config, guards, certificates): All<'_>,
    parts: Vec<Part>,
) -> Result<(Option<Serving>, DrainRequest), Error> {
    let requests = DrainRequest::default();
    let tls = certificates.of("ops", Wanted(config.ops.tls))?;
    let serving = operations::open((config, guards, tls), parts, requests.clone()).await?;
    Ok((serving, requests))
}

/// Binds the broker's listener, starts the broker, applies `configure`, then accepts connections. `flag` is the option
/// that sets the address, for error messages.
async fn open_broker(
    (config, guards, certificates): All<'_>,
    flag: &'static str,
    configure: impl FnOnce(&Broker) -> Result<(), Error>,
) -> Result<(Broker, Serving, Router), Error> {
    let mut registry = process_registry();
    let tls = certificates.of("broker", Wanted(config.broker.tls))?;
    let listening = Listening::bind(flag, &config.broker.address).await?.secured(tls);
    config.own_listeners().add(listening.address());
    let listening = listening.counted(&ListenerMetrics::register(&mut registry), "broker");
    let refusals = RefusalMetrics::register(&mut registry);
    let listening = guards.guard_broker(listening, &config.broker, refusals)?;
    let broker = Broker::start(broker_config(config));
    configure(&broker)?;
    let router = broker::routes::router_with(broker.clone(), &config.http, registry);
    let listening = listening.guarded(broker::routes::access(&config.broker, &config.http));
    let serving = listening.serve(router.clone(), &config.http);
    ready::announce(config.log.format, "broker", serving.place());
    Ok((broker, serving, router))
}

/// Returns the settings of the broker with the bounds that follow from the largest payload.
fn broker_config(config: &Config) -> broker::Config {
    let mut broker = config.broker.clone();
    broker.payload_bytes_max = config.http.body_bytes_max;
    broker.own_listeners = config.own_listeners().clone();
    broker.frame_bytes_max = broker.frame_bytes_max.max(config.http.envelope_bytes_max());
    broker
}

/// The settings of a process, and what its listeners need: access control and certificates.
type All<'a> = (&'a Config, &'a Guards, &'a Certificates);

/// Returns the base URL of a listener, with what curl needs besides to reach it.
fn curl(place: &ListenAddress) -> String {
    let place = place.to_string();
    match socket_path(&place) {
        Some(path) => format!("--unix-socket {} http://localhost", path.display()),
        None if place.contains("://") => place,
        None => format!("http://{place}"),
    }
}

fn print_tour(sidecar: &Sidecar, edge: &Edge) {
    let (api, edge) = (curl(&sidecar.api), curl(edge.place()));
    let printed = writeln!(
        io::stdout(),
        "\nThe service `greeter` replies to `hello` with `greeting`. Try it in another terminal:\n\n  \
         request        curl -d '{{\"name\":\"world\"}}' {api}/request/hello\n  \
         send           curl -d '{{\"name\":\"world\"}}' {api}/send/hello\n  \
         follow         curl -N {api}/messages\n\n\
         The edge serves Durable Streams to browsers and other clients:\n\n  \
         write a stream curl -X PUT -H 'content-type: text/plain' -d 'hello stream' {edge}/v1/stream/notes\n  \
         read a stream  curl {edge}/v1/stream/notes\n\nCtrl-C stops."
    );
    if let Err(error) = printed {
        tracing::debug!(%error, "cannot print the tour");
    }
}
