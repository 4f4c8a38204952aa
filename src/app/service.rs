//! A whole service in one table of handlers: [`Service`]. Reference: exo 5.1.

mod before;
mod environment;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::Future;
use std::io::{self, Write};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

use self::before::{Gate, Hook};
use self::environment::{Place, Told};
use super::config::Log;
use super::signals::Signals;
use super::{Builder, Error, telemetry};
use crate::bus::Register;
use crate::message::{Message, MessageName};
use crate::relay::{self, Config, Context, Handler, HandlerError, Relay, handler};

/// How long what has begun may take to finish after the process was told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// A service: its role, its handlers, and what it does before the first message. What is not said here, the environment
/// says, with the names that ExoService had:
///
/// | variable | meaning |
/// |---|---|
/// | `ROLE` | the role, where [`Service::new`] was given none |
/// | `EXOCOM_HOST`, `EXOCOM_PORT` | ExoCom, `localhost` and `80` unless set; reached at `ws://HOST:PORT/services` |
/// | `SERVICE_NAME`, `EXORELAY_PORT` | set in the HTTP era: the role, and the port to listen on. Then ExoCom is reached at `http://HOST:PORT`, and `EXOCOM_PORT` has to be set |
///
/// ```no_run
/// use exorelay::{Context, Message, Service};
///
/// #[tokio::main]
/// async fn main() -> Result<(), exorelay::app::Error> {
///     Service::new("greeter")
///         .on("greet", |message: Message, context: Context| async move {
///             let name: String = message.payload()?;
///             context.reply("greeting", format!("Hello {name}")).await?;
///             Ok(())
///         })
///         .run_from_env()
///         .await
/// }
/// ```
#[must_use = "nothing happens until `run_from_env` or `connect` is awaited"]
pub struct Service {
    told: Told,
    register: Register,
    relay: Config,
    environment: Option<HashMap<String, String>>,
    handlers: Vec<(MessageName, Handler)>,
    before: Vec<Hook>,
    grace: Duration,
    wrong: Option<relay::Error>,
}

impl Service {
    /// A service of this role; with an empty one, of the role that the environment names.
    pub fn new(role: impl Into<String>) -> Self {
        Self {
            told: Told { role: role.into(), ..Told::default() },
            register: Register::Auto,
            relay: Config::default(),
            environment: None,
            handlers: Vec::new(),
            before: Vec::new(),
            grace: GRACE,
            wrong: None,
        }
    }

    /// Runs `run` for every message called `name`, many at once. A failing or panicking handler costs its message, which
    /// becomes a dead letter, and nothing else. A second handler of the same name is an error when it connects.
    pub fn on<N, F, Fut>(mut self, name: N, run: F) -> Self
    where
        N: TryInto<MessageName>,
        relay::Error: From<N::Error>,
        F: Fn(Message, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        match name.try_into() {
            Ok(name) => self.handlers.push((name, handler(run))),
            Err(error) => self.wrong = Some(error.into()),
        }
        self
    }

    /// Runs `hook` to its end before the first message gets to its handler; several run one after the other. It is no
    /// handler: no message reaches it. Messages that come meanwhile have their place and wait for it; the relay it is
    /// given sends and requests as usual. A hook that fails or panics keeps the service from starting: then the messages
    /// that waited become dead letters, and are reported with them. exo 5.1, and 7 number 32 for what is different.
    pub fn before_all<F, Fut>(mut self, hook: F) -> Self
    where
        F: FnOnce(Relay) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.before.push(Box::new(move |relay| hook(relay).boxed()));
        self
    }

    /// The broker's URL, in place of `EXOCOM_HOST` and `EXOCOM_PORT`.
    pub fn bus(mut self, url: impl Into<String>) -> Self {
        self.told.bus = Some(url.into());
        self
    }

    /// Where a broker that uses HTTP delivers, as `HOST:PORT`, in place of `EXORELAY_PORT`; without either it takes a free
    /// port of the loopback address.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.told.listen = Some(address.into());
        self
    }

    /// Whether it registers itself; `Register::Off` for an original broker of the HTTP era.
    pub fn register(mut self, register: Register) -> Self {
        self.register = register;
        self
    }

    /// Every other setting of its relay.
    pub fn config(mut self, config: Config) -> Self {
        self.relay = config;
        self
    }

    /// How long what has begun may take to finish when the process is told to stop; 10 s unless said.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Takes these variables for its environment in place of the process's own, such as those of a test.
    pub fn environment<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        self.environment = Some(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect());
        self
    }

    /// Connects, runs what comes before all, and gives the relay, which then handles messages until it is closed. A
    /// broker that is away is no error: see [`Builder::connect`]. For tests, and for processes that do more than this.
    ///
    /// Errors: [`Error::Environment`] naming the variable, [`Error::Relay`], [`Error::BeforeAll`]. Dropping the future
    /// before it ends leaves a relay behind that is never closed.
    pub async fn connect(self) -> Result<Relay, Error> {
        let grace = self.grace;
        let starting = self.join().await?;
        let relay = starting.relay.clone();
        match starting.open().await {
            Ok(()) => Ok(relay),
            Err(error) => {
                relay.close_within(grace).await;
                Err(error)
            }
        }
    }

    /// Runs until the process gets SIGINT or SIGTERM; then it takes nothing new, finishes what has begun within the grace
    /// time, and leaves. A second signal cuts that short.
    ///
    /// Prints `online at port <port>` on stdout as soon as messages can come: the port it listens on, or the broker's if it
    /// does not listen. Logs to stderr unless the process has a log already. Errors: those of [`Service::connect`],
    /// [`Error::Signals`].
    pub async fn run_from_env(self) -> Result<(), Error> {
        telemetry::start(&Log::default());
        let mut signals = Signals::listen()?;
        let grace = self.grace;
        let starting = self.join().await?;
        let (relay, bus) = (starting.relay.clone(), starting.bus.clone());
        let opened = tokio::select! {
            opened = starting.open() => Some(opened),
            signal = signals.next() => {
                tracing::info!(signal, "stopped before its first message");
                None
            }
        };
        let Some(Ok(())) = opened else {
            relay.close_within(grace).await;
            return opened.unwrap_or(Ok(()));
        };
        if let Some(trouble) = relay.bus_error() {
            tracing::warn!(bus, trouble, "not on the bus yet, trying again and again");
        }
        let announced = async {
            if relay.address().is_none() {
                relay.ready().await;
            }
            announce(port_of(&relay, &bus));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = announced => {}
            () = signals.then_drain(relay.close_within(grace)) => {}
        }
        Ok(())
    }

    /// Joins the bus, with every handler behind the gate if something comes before all.
    async fn join(self) -> Result<Starting, Error> {
        if let Some(wrong) = self.wrong {
            return Err(wrong.into());
        }
        let Place { role, bus, listen } = environment::resolve(self.told, |name| match &self.environment {
            Some(variables) => variables.get(name).cloned(),
            None => std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
        })?;
        let gate = watch::Sender::new(Gate::Closed);
        let builder = Relay::builder(role).config(self.relay).bus(&bus).register(self.register);
        let builder = match listen {
            Some(address) => builder.listen(address),
            None => builder,
        };
        let waits = !self.before.is_empty();
        let gated = |handler| if waits { before::behind(gate.subscribe(), handler) } else { handler };
        let handled = |builder: Builder, (name, handler)| builder.handle::<MessageName>(name, gated(handler));
        let builder = self.handlers.into_iter().fold(builder, handled);
        let relay = builder.connect().await?;
        Ok(Starting { relay, bus, gate, before: self.before })
    }
}

/// A service that is on the bus and lets no message through yet.
struct Starting {
    relay: Relay,
    bus: String,
    gate: watch::Sender<Gate>,
    before: Vec<Hook>,
}

impl Starting {
    /// Runs what comes before all, then lets messages through. When it fails or is dropped, messages that wait fail.
    async fn open(self) -> Result<(), Error> {
        let Self { relay, gate, before, bus: _ } = self;
        before::run(before, &relay).await.map_err(|reason| Error::BeforeAll { reason })?;
        gate.send_replace(Gate::Open);
        Ok(())
    }
}

/// The port it listens on, else that of its broker.
fn port_of(relay: &Relay, bus: &str) -> u16 {
    let listened = relay.address().map(|address| address.port());
    let named = || bus.parse::<axum::http::Uri>().ok().and_then(|url| url.port_u16());
    listened.or_else(named).unwrap_or(80)
}

/// Prints the line that `exo run` waits for. exo 2.3. A closed stdout is no reason to stop.
fn announce(port: u16) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "online at port {port}").and_then(|()| out.flush()) {
        tracing::debug!(%error, "cannot print the online line");
    }
}
