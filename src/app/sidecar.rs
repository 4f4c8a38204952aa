//! A sidecar: a relay with its two listeners and its webhook.

use std::sync::Arc;

use axum::Router;
use tokio::sync::watch;

use super::access::{self, Guards};
use super::child::{Prepared, Supervised};
use super::service::{Gate, behind};
use super::tls::{Certificates, Wanted};
use super::{Config, Error, ready};
use crate::api::{self, Operations};
use crate::broker::Broker;
use crate::http::access::RefusalMetrics;
use crate::http::{ListenAddress, ListenerMetrics, Listening, socket_path};
use crate::metrics::{Exposition, process_registry};
use crate::relay::{Fallback, Relay};
use crate::webhook::{self, Webhook};

/// A running sidecar. Closing its relay also closes its listeners.
pub(super) struct Sidecar {
    pub(super) relay: Relay,
    pub(super) api: ListenAddress,
    gate: watch::Sender<Gate>,
    /// The routes of the api, for the listener for operators.
    pub(super) routes: Router,
}

impl Sidecar {
    /// Opens and announces the listeners and makes the first attempt to join the bus, which is `broker` if given.
    /// A WebSocket bus delivers over its own connection, so it needs no bus-facing listener. With `Gate::Closed`, messages wait
    /// for the service of [`Sidecar::supervise`].
    pub(super) async fn start(
        config: &Config,
        (guards, certificates): (&Guards, &Certificates),
        broker: Option<&Broker>,
        gate: Gate,
    ) -> Result<Self, Error> {
        let listen = match broker.is_none() && config.bus.is_websocket() {
            true => None,
            false => Some(Listening::bind("--listen HOST:PORT", &config.listen.address).await?),
        };
        let api = bind_api(&config.api, certificates).await?;
        let (listen_address, api_address) = (listen.as_ref().map(Listening::address), api.place().clone());
        listen_address.into_iter().chain([api.address()]).for_each(|address| config.own_listeners().add(address));
        let mut registry = process_registry();
        let listeners = ListenerMetrics::register(&mut registry);
        let (listen, api) = (listen.map(|listen| listen.counted(&listeners, "listen")), api.counted(&listeners, "api"));
        let api = guards.guard(api, "api", RefusalMetrics::register(&mut registry))?;
        if let Some(listen) = &listen {
            guards.check(listen, "listen", config.listen.has_token())?;
        }
        let listen_config = access::with_token(&config.listen)?;
        let role = config.relay.role.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut builder = Relay::builder(role.clone())
            .config(config.relay.clone())
            .bus_config(config.bus.clone())
            .listen_config(listen_config)
            .limits(config.http.clone());
        if let Some(listen) = listen {
            builder = builder.listening(listen);
        }
        if let Some(broker) = broker {
            builder = builder.broker(broker);
        }
        let (mut webhook, is_gated) = (None, gate == Gate::Closed);
        let gate = watch::Sender::new(gate);
        if !config.webhook.forward.is_empty() {
            let started = Webhook::start(&config.webhook, webhook::Metrics::register(&mut registry, &role))?;
            builder = builder.fallback(match is_gated {
                true => waiting(started.fallback(), &gate),
                false => started.fallback(),
            });
            webhook = Some(started);
        }
        let relay = builder.connect_counted(&mut registry).await?;
        relay.set_away(is_gated);
        if let Some(webhook) = webhook {
            relay.run_until_left(webhook.watch(relay.clone()));
        }
        let measured = relay.clone();
        let metrics = Exposition::new(registry, move || measured.refresh_metrics());
        let operations = Operations { metrics: Arc::new(metrics) };
        let router = api::router(relay.clone(), &config.api, &config.http, operations);
        let routes = router.clone();
        let api = api.guarded(api::access(&config.api, &config.http));
        relay.add_listener(api.serve(router, &config.http));
        if let Some(address) = listen_address {
            ready::announce(config.log.format, "listen", address);
        }
        ready::announce(config.log.format, "api", &api_address);
        Ok(Self { relay, api: api_address, routes, gate })
    }

    /// Starts the service, which gets its first message once it accepts connections.
    pub(super) fn supervise(&self, service: Prepared) -> Result<Supervised, Error> {
        let (relay, gate) = (self.relay.clone(), self.gate.clone());
        let accepts = move || {
            gate.send_replace(Gate::Open);
            relay.set_away(false);
        };
        Supervised::start(service, accepts).map_err(Error::Signals)
    }
}

/// Binds the address of the api: a port, or a Unix socket.
async fn bind_api(config: &api::Config, certificates: &Certificates) -> Result<Listening, Error> {
    let tls = certificates.of("api", Wanted(config.tls))?;
    let listening = match socket_path(&config.address) {
        Some(path) => Listening::bind_unix("--api unix:PATH", path, config.socket_mode()).await?,
        None => Listening::bind("--api HOST:PORT", &config.address).await?,
    };
    Ok(listening.secured(tls))
}

/// Returns a fallback that calls `inner` once the gate is open.
fn waiting(inner: Fallback, gate: &watch::Sender<Gate>) -> Fallback {
    let (handler, opened, error) = (behind(gate.subscribe(), inner.handler), gate.subscribe(), inner.error);
    let starting = || Some("it does not accept connections yet".to_owned());
    let error = Arc::new(move || if *opened.borrow() == Gate::Open { error() } else { starting() });
    Fallback { handler, error }
}
