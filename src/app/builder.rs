//! `Relay::builder`. It is here and not in `relay` because it also opens a listener, which the relay must not know.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use uuid::Uuid;

use crate::broker::Broker;
use crate::bus::{self, Bus, EmbeddedBus, Endpoint, HttpBus, Register, WebSocketBus};
use crate::http::{Limits, Listening, has_credentials, hide_credentials, tls};
use crate::listen;
use crate::memory::Budget;
use crate::message::{InstanceId, Message, MessageName, Role};
use crate::relay::{
    CloseOnDrop, Config, Context, Error, Fallback, Handler, HandlerError, Handlers, Identity, Metrics, Relay, handler,
};

/// The bus URL of an embedded broker.
const EMBEDDED: &str = "embedded";

/// The settings of a relay before it connects.
#[must_use = "nothing happens until `connect` is awaited"]
pub struct Builder {
    role: String,
    broker: Option<Broker>,
    bus: bus::Config,
    /// Settings with methods of their own, which apply whatever the order of the calls.
    url: Option<String>,
    register: Option<Register>,
    token: Option<String>,
    receives: Vec<MessageName>,
    listen: Option<String>,
    listening: Option<Listening>,
    answer: listen::Config,
    relay: Config,
    limits: Limits,
    handlers: Handlers,
    error: Option<Error>,
}

impl Relay {
    /// Returns a builder for the relay of the service `role`. By default it uses the broker at `http://127.0.0.1:3100` and
    /// listens on a free port on loopback.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), exorelay::Error> {
    /// let relay = exorelay::Relay::builder("web").bus("http://localhost:3100").connect().await?;
    /// let users = relay.request("users.list", ()).await?;
    /// # Ok(()) }
    /// ```
    pub fn builder(role: impl Into<String>) -> Builder {
        Builder {
            role: role.into(),
            broker: None,
            bus: bus::Config::default(),
            url: None,
            register: None,
            token: None,
            receives: Vec::new(),
            listen: None,
            listening: None,
            answer: listen::Config::default(),
            relay: Config::default(),
            limits: Limits::default(),
            handlers: Handlers::default(),
            error: None,
        }
    }
}

impl Builder {
    /// The broker's URL: `http://localhost:3100`; `ws://localhost:3100` for one connection in both directions, so that the
    /// broker need not connect to this relay; or `embedded` for a private broker in this process.
    pub fn bus(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// A broker in this process, which several relays may share.
    pub fn broker(mut self, broker: &Broker) -> Self {
        self.broker = Some(broker.clone());
        self
    }

    /// The address where the broker delivers, as `HOST:PORT`; port 0 takes a free port. Without it a relay with a WebSocket
    /// or embedded bus opens no port.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// A listener that is already bound.
    pub(super) fn listening(mut self, listening: Listening) -> Self {
        self.listening = Some(listening);
        self
    }

    /// The receiver of messages without a handler.
    pub(super) fn fallback(mut self, fallback: Fallback) -> Self {
        self.handlers.set_fallback(fallback);
        self
    }

    /// Calls `run` for every message `name`, as [`Relay::on`] does, including the first: the handler is known before the
    /// relay joins the bus.
    pub fn on<N, F, Fut>(self, name: N, run: F) -> Self
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
        F: Fn(Message, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.handle(name, handler(run))
    }

    /// As [`Builder::on`], with a boxed handler.
    pub(super) fn handle<N>(mut self, name: N, handler: Handler) -> Self
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        let added = name.try_into().map_err(Error::from).and_then(|name| self.handlers.add(name, handler));
        self.error = self.error.or(added.err());
        self
    }

    /// Messages to receive besides those with a handler.
    pub fn receives<N>(mut self, names: impl IntoIterator<Item = N>) -> Self
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        for name in names {
            match name.try_into() {
                Ok(name) => self.receives.push(name),
                Err(error) => self.error = Some(error.into()),
            }
        }
        self
    }

    /// The registration mode; `Register::Off` for an original broker.
    pub fn register(mut self, register: Register) -> Self {
        self.register = Some(register);
        self
    }

    /// The token that proves that this relay may have its role, if the broker asks for one.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The settings of the listener for deliveries.
    pub(crate) fn listen_config(mut self, config: listen::Config) -> Self {
        self.answer = config;
        self
    }

    /// The time at which deliveries are answered.
    pub fn answer(mut self, answer: listen::Answer) -> Self {
        self.answer.answer = answer;
        self
    }

    /// All other settings of the relay. What other methods set stays as it is, whether they are called before or after.
    pub fn config(mut self, config: Config) -> Self {
        self.relay = config;
        self
    }

    /// All other settings of the bus. What other methods set stays as it is, whether they are called before or after.
    pub fn bus_config(mut self, config: bus::Config) -> Self {
        self.bus = config;
        self
    }

    /// Limits of the listener. `body_bytes_max` is also the largest payload that this relay sends, over every bus: see
    /// [`Error::TooLarge`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Opens the listener and makes the first attempt to join the bus. An unreachable bus is not an error: the relay keeps
    /// retrying, sends wait in the outbox, and [`Relay::events`] reports when it is online.
    ///
    /// Errors: [`Error::Setting`] for a missing or wrong role or bus, [`Error::Name`], [`Error::HandlerExists`],
    /// [`Error::Listen`]. Cancel-safe: a dropped call closes the relay in the background, and no further handler runs.
    pub async fn connect(self) -> Result<Relay, Error> {
        self.connect_counted(&mut Registry::default()).await
    }

    /// As [`Builder::connect`], with metrics in `registry`.
    pub(super) async fn connect_counted(mut self, registry: &mut Registry) -> Result<Relay, Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let role = Role::parse(&self.role).map_err(|cause| Error::Setting {
            setting: "Relay::builder",
            problem: format!("{cause}; give the role of the service, such as \"users\""),
        })?;
        let instance = InstanceId::from_uuid(Uuid::now_v7());
        self.apply_setters();
        check_token(&self.bus.token)?;
        let envelope_bytes_max = self.limits.envelope_bytes_max();
        self.bus.frame_bytes_max = self.bus.frame_bytes_max.max(envelope_bytes_max);
        let bounds = (&instance, self.limits.body_bytes_max, &self.relay.memory);
        let transport = Transport::of(self.broker, &self.bus, bounds)?;
        let listening = match (self.listening, &self.listen, matches!(transport, Transport::Calls(_))) {
            (Some(listening), _, _) => Some(listening),
            (None, Some(address), _) => Some(Listening::bind("Builder::listen", address).await?),
            (None, None, false) => None,
            (None, None, true) => Some(Listening::bind("Builder::listen", "127.0.0.1:0").await?),
        };
        let listened = endpoint((&self.bus, &self.answer), listening.as_ref())?;
        let listened_port = listened.as_ref().map_or(0, |endpoint| endpoint.port);
        let (bus, endpoint, online_port): (Arc<dyn Bus>, _, _) = match transport {
            Transport::Embedded(bus) => (Arc::new(bus), listened, listened_port),
            Transport::Calls(bus) => (Arc::new(bus), listened, listened_port),
            Transport::Connection(bus) => {
                let port = bus.port();
                (Arc::new(bus), None, port)
            }
        };
        // The answer to a batch cannot carry the outcome of each handler.
        let batch = self.answer.answer == listen::Answer::Accepted;
        let token = Some(self.bus.token).filter(|token| !token.is_empty());
        let payload_bytes_max = self.limits.body_bytes_max;
        let metrics = Metrics::register(registry, &role);
        let identity = Identity { role, instance, bus, endpoint, online_port, batch, token, payload_bytes_max };
        let relay = Relay::start(identity, self.relay, metrics, self.handlers);
        let started = CloseOnDrop::new(relay.clone());
        if let Some(listening) = listening {
            let router = listen::router(relay.clone(), &self.answer, &self.limits);
            let listening = listening.guarded(listen::access(&self.answer, &self.limits));
            relay.add_listener(listening.serve(router, &self.limits));
        }
        relay.first_attempt().await;
        Ok(started.keep())
    }
}

impl Builder {
    /// Overrides the settings by those that have methods of their own.
    fn apply_setters(&mut self) {
        let Self { bus, relay, .. } = self;
        bus.url = self.url.take().unwrap_or_else(|| std::mem::take(&mut bus.url));
        bus.token = self.token.take().unwrap_or_else(|| std::mem::take(&mut bus.token));
        bus.register = self.register.unwrap_or(bus.register);
        relay.receives.append(&mut self.receives);
    }
}

/// The connection to the bus.
#[allow(clippy::large_enum_variant, reason = "there is one in a process, and it is moved twice")]
enum Transport {
    /// In this process.
    Embedded(EmbeddedBus),
    /// HTTP calls; the broker needs a listener here.
    Calls(HttpBus),
    /// One connection, opened by this relay.
    Connection(WebSocketBus),
}

impl Transport {
    fn of(
        broker: Option<Broker>,
        config: &bus::Config,
        (instance, payload_bytes_max, memory): (&InstanceId, usize, &Budget),
    ) -> Result<Self, Error> {
        if let Some(broker) = broker {
            return Ok(Self::Embedded(EmbeddedBus::new(broker, instance.clone())));
        }
        if !tls::IS_AVAILABLE && (config.url.starts_with("https://") || config.url.starts_with("wss://")) {
            let url = hide_credentials(&config.url);
            let problem = format!("{url:?} needs TLS; enable the feature \"tls\" of the crate");
            return Err(Error::Setting { setting: "bus", problem });
        }
        if config.url == EMBEDDED {
            // No other process can register with it.
            let config = crate::broker::Config {
                settle_ms: 0,
                traffic_messages_max: 0,
                payload_bytes_max,
                memory: memory.clone(),
                ..Default::default()
            };
            let broker = Broker::start(config);
            return Ok(Self::Embedded(EmbeddedBus::new(broker, instance.clone())));
        }
        if config.url.starts_with("http://") || config.url.starts_with("https://") {
            if has_credentials(&config.url) && !config.token.is_empty() {
                let problem = "the URL has a user or a password, and there is a token; give one of them".to_owned();
                return Err(Error::Setting { setting: "bus", problem });
            }
            return Ok(Self::Calls(HttpBus::new(config, instance)));
        }
        WebSocketBus::new(config).map(Self::Connection).ok_or_else(|| {
            let expected = "\"embedded\" or a URL such as \"http://localhost:3100\" or \"ws://localhost:3100\"";
            let url = hide_credentials(&config.url);
            Error::Setting { setting: "bus", problem: format!("{url:?} is not a bus; expected {expected}") }
        })
    }
}

/// Checks that a token can be sent in a header. The error does not repeat it.
fn check_token(token: &str) -> Result<(), Error> {
    match token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => {
            let problem = "expected visible ASCII characters without spaces".to_owned();
            Err(Error::Setting { setting: "token", problem })
        }
    }
}

/// Returns the address where the broker reaches the listener: the advertised one; else the listener's own host, unless that
/// is unspecified; then the port alone, on the host that the broker sees.
fn endpoint(
    (bus, listen): (&bus::Config, &listen::Config),
    listening: Option<&Listening>,
) -> Result<Option<Endpoint>, Error> {
    let token = Some(listen.token.clone()).filter(|token| !token.is_empty());
    if !bus.advertise.is_empty() {
        let parsed = bus.advertise.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let Some((host, port)) = parsed.filter(|(host, _)| !host.is_empty()) else {
            let problem = format!("{:?} is not HOST:PORT", bus.advertise);
            return Err(Error::Setting { setting: "advertise", problem });
        };
        return Ok(Some(Endpoint { host: Some(host.to_owned()), port, token }));
    }
    Ok(listening.map(|listening| {
        let address = listening.address();
        let host = Some(address.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
        Endpoint { host, port: address.port(), token }
    }))
}
