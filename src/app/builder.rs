//! The Rust way in: `Relay::builder`. It opens a listener too, which is why it stands here and not in the relay's room.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use uuid::Uuid;

use crate::broker::Broker;
use crate::bus::{self, Bus, EmbeddedBus, Endpoint, HttpBus, Register, WebSocketBus};
use crate::http::{Limits, Listening};
use crate::listen;
use crate::message::{InstanceId, Message, MessageName, Role};
use crate::relay::{
    Config, Context, Error, Fallback, Handler, HandlerError, Handlers, Identity, Metrics, Relay, handler,
};

/// The word for a broker in this process.
const EMBEDDED: &str = "embedded";

/// A relay about to be made.
#[must_use = "nothing happens until `connect` is awaited"]
pub struct Builder {
    role: String,
    broker: Option<Broker>,
    bus: bus::Config,
    listen: Option<String>,
    listening: Option<Listening>,
    answer: listen::Config,
    relay: Config,
    limits: Limits,
    handlers: Handlers,
    wrong: Option<Error>,
}

impl Relay {
    /// A relay for the service `role`. Without further settings it reaches a broker at `http://127.0.0.1:3100` and
    /// listens on a free port of the loopback address.
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
            listen: None,
            listening: None,
            answer: listen::Config::default(),
            relay: Config::default(),
            limits: Limits::default(),
            handlers: Handlers::default(),
            wrong: None,
        }
    }
}

impl Builder {
    /// The broker's URL: `http://localhost:3100`; `ws://localhost:3100` for one connection that carries everything, so
    /// that the broker need not reach this relay; or `embedded` for a broker of this relay's own.
    pub fn bus(mut self, url: impl Into<String>) -> Self {
        self.bus.url = url.into();
        self
    }

    /// A broker of this process, which several relays may share.
    pub fn broker(mut self, broker: &Broker) -> Self {
        self.broker = Some(broker.clone());
        self
    }

    /// Where the broker delivers, as `HOST:PORT`; port 0 takes a free one. Without it a relay whose bus is a WebSocket,
    /// or in its own process, opens no port.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// A listener that is open already.
    pub(super) fn listening(mut self, listening: Listening) -> Self {
        self.listening = Some(listening);
        self
    }

    /// What takes messages that have no handler.
    pub(super) fn fallback(mut self, fallback: Fallback) -> Self {
        self.handlers.set_fallback(fallback);
        self
    }

    /// Runs `run` for every message called `name`, as [`Relay::on`] does, from the very first one on: the relay joins the
    /// bus with it.
    pub fn on<N, F, Fut>(self, name: N, run: F) -> Self
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
        F: Fn(Message, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.handle(name, handler(run))
    }

    /// As [`Builder::on`], with a handler that is made already.
    pub(super) fn handle<N>(mut self, name: N, handler: Handler) -> Self
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        let added = name.try_into().map_err(Error::from).and_then(|name| self.handlers.add(name, handler));
        self.wrong = self.wrong.or(added.err());
        self
    }

    /// Messages it wants besides those that get a handler.
    pub fn receives<N>(mut self, names: impl IntoIterator<Item = N>) -> Self
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        for name in names {
            match name.try_into() {
                Ok(name) => self.relay.receives.push(name),
                Err(error) => self.wrong = Some(error.into()),
            }
        }
        self
    }

    /// Whether the relay registers itself; `Register::Off` for an original broker.
    pub fn register(mut self, register: Register) -> Self {
        self.bus.register = register;
        self
    }

    /// When deliveries are answered.
    pub fn answer(mut self, answer: listen::Answer) -> Self {
        self.answer.answer = answer;
        self
    }

    /// Every other setting of the relay. Replaces what [`Builder::receives`] has set before.
    pub fn config(mut self, config: Config) -> Self {
        self.relay = config;
        self
    }

    /// Every other setting of the way to the bus. Replaces what was set before.
    pub fn bus_config(mut self, config: bus::Config) -> Self {
        self.bus = config;
        self
    }

    /// Bounds of the listener.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Opens the listener and makes the first try to join the bus. A bus that is away is no error: the relay keeps
    /// trying, its sends wait in the outbox, and [`Relay::events`] tells when it is online.
    ///
    /// Errors: [`Error::Setting`] for a missing or wrong role or bus, [`Error::Name`], [`Error::HandlerExists`],
    /// [`Error::Listen`].
    pub async fn connect(self) -> Result<Relay, Error> {
        self.connect_counted(&mut Registry::default()).await
    }

    /// As [`Builder::connect`], with counters that show in `registry`.
    pub(super) async fn connect_counted(self, registry: &mut Registry) -> Result<Relay, Error> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let role = Role::parse(&self.role).map_err(|cause| Error::Setting {
            setting: "Relay::builder",
            problem: format!("{cause}; give the role of the service, such as \"users\""),
        })?;
        let instance = InstanceId::from_uuid(Uuid::now_v7());
        let way = Way::of(self.broker, &self.bus, &instance)?;
        let listening = match (self.listening, &self.listen, matches!(way, Way::Calls(_))) {
            (Some(listening), _, _) => Some(listening),
            (None, Some(address), _) => Some(Listening::bind("Builder::listen", address).await?),
            (None, None, false) => None,
            (None, None, true) => Some(Listening::bind("Builder::listen", "127.0.0.1:0").await?),
        };
        let listened = endpoint(&self.bus, listening.as_ref())?;
        let listened_port = listened.as_ref().map_or(0, |endpoint| endpoint.port);
        let (bus, endpoint, online_port): (Arc<dyn Bus>, _, _) = match way {
            Way::Embedded(bus) => (Arc::new(bus), listened, listened_port),
            Way::Calls(bus) => (Arc::new(bus), listened, listened_port),
            Way::Connection(bus) => {
                let port = bus.port();
                (Arc::new(bus), None, port)
            }
        };
        // A call with several messages has no place for the outcome of each handler.
        let batch = self.answer.answer == listen::Answer::Accepted;
        let token = Some(self.bus.token).filter(|token| !token.is_empty());
        let identity = Identity { role, instance, bus, endpoint, online_port, batch, token };
        let relay = Relay::start(identity, self.relay, Metrics::register(registry), self.handlers);
        if let Some(listening) = listening {
            let router = listen::router(relay.clone(), &self.answer, &self.limits);
            relay.add_listener(listening.serve(router, &self.limits));
        }
        relay.first_attempt().await;
        Ok(relay)
    }
}

/// How messages come and go.
enum Way {
    /// In this process.
    Embedded(EmbeddedBus),
    /// By calls, for which the broker needs a listener here.
    Calls(HttpBus),
    /// Over one connection, which this relay opens.
    Connection(WebSocketBus),
}

impl Way {
    fn of(broker: Option<Broker>, config: &bus::Config, instance: &InstanceId) -> Result<Self, Error> {
        if let Some(broker) = broker {
            return Ok(Self::Embedded(EmbeddedBus::new(broker, instance.clone())));
        }
        if config.url == EMBEDDED {
            // Nobody from outside can be on their way to it, so there is nothing to settle.
            let broker =
                Broker::start(crate::broker::Config { settle_ms: 0, traffic_messages_max: 0, ..Default::default() });
            return Ok(Self::Embedded(EmbeddedBus::new(broker, instance.clone())));
        }
        if config.url.starts_with("http://") || config.url.starts_with("https://") {
            return Ok(Self::Calls(HttpBus::new(config, instance)));
        }
        WebSocketBus::new(config).map(Self::Connection).ok_or_else(|| {
            let expected = "\"embedded\" or a URL such as \"http://localhost:3100\" or \"ws://localhost:3100\"";
            Error::Setting { setting: "bus", problem: format!("{:?} is no bus; expected {expected}", config.url) }
        })
    }
}

/// Where the broker reaches the listener: as advertised; else at the loopback address if it listens there; else at the
/// listener's port on whatever host the broker sees the relay come from.
fn endpoint(bus: &bus::Config, listening: Option<&Listening>) -> Result<Option<Endpoint>, Error> {
    if !bus.advertise.is_empty() {
        let parsed = bus.advertise.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let Some((host, port)) = parsed.filter(|(host, _)| !host.is_empty()) else {
            let problem = format!("{:?} is not HOST:PORT", bus.advertise);
            return Err(Error::Setting { setting: "advertise", problem });
        };
        return Ok(Some(Endpoint { host: Some(host.to_owned()), port }));
    }
    Ok(listening.map(|listening| {
        let address = listening.address();
        let host = Some(address.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
        Endpoint { host, port: address.port() }
    }))
}
