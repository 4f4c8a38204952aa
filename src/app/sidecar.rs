//! A sidecar: a relay with its two listeners and its webhook.

use std::net::SocketAddr;
use std::sync::Arc;

use prometheus_client::registry::Registry;

use super::{Config, Error, metrics, ready};
use crate::api::{self, Operations};
use crate::broker::Broker;
use crate::http::Listening;
use crate::relay::Relay;
use crate::webhook::{self, Webhook};

/// A running sidecar. Closing its relay also closes its listeners.
pub(super) struct Sidecar {
    pub(super) relay: Relay,
    pub(super) api: SocketAddr,
}

impl Sidecar {
    /// Opens and announces the listeners and makes the first attempt to join the bus, which is `broker` if given.
    /// A WebSocket bus delivers over its own connection, so it needs no bus-facing listener.
    pub(super) async fn start(config: &Config, broker: Option<&Broker>) -> Result<Self, Error> {
        let listen = match broker.is_none() && config.bus.is_websocket() {
            true => None,
            false => Some(Listening::bind("--listen HOST:PORT", &config.listen.address).await?),
        };
        let api = Listening::bind("--api HOST:PORT", &config.api.address).await?;
        let (listen_address, api_address) = (listen.as_ref().map(Listening::address), api.address());
        let mut registry = Registry::default();
        let role = config.relay.role.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut builder = Relay::builder(role)
            .config(config.relay.clone())
            .bus_config(config.bus.clone())
            .answer(config.listen.answer)
            .limits(config.http.clone());
        if let Some(listen) = listen {
            builder = builder.listening(listen);
        }
        if let Some(broker) = broker {
            builder = builder.broker(broker);
        }
        let mut webhook = None;
        if !config.webhook.forward.is_empty() {
            let started = Webhook::start(&config.webhook, webhook::Metrics::register(&mut registry))?;
            builder = builder.fallback(started.fallback());
            webhook = Some(started);
        }
        let relay = builder.connect_counted(&mut registry).await?;
        if let Some(webhook) = webhook {
            relay.run_until_left(webhook.watch(relay.clone()));
        }
        let operations = Operations { metrics: text_of(registry) };
        let router = api::router(relay.clone(), &config.api, &config.http, operations);
        relay.add_listener(api.serve(router, &config.http));
        if let Some(address) = listen_address {
            ready::announce("listen", address);
        }
        ready::announce("api", api_address);
        Ok(Self { relay, api: api_address })
    }
}

fn text_of(registry: Registry) -> Arc<dyn Fn() -> String + Send + Sync> {
    Arc::new(move || metrics::text(&registry))
}
