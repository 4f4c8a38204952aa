//! A complete service process built from handlers: [`Service`]. Reference: exo 5.1.

mod before;
mod environment;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io::{self, Write};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

use self::before::Hook;
pub(super) use self::before::{Gate, behind};
use self::environment::{Explicit, Settings};
use super::config::Log;
use super::process::Process;
use super::signals::{Hangup, Signals};
use super::{Builder, Error, telemetry};
use crate::bus::Register;
use crate::message::{Message, MessageName};
use crate::relay::{self, CloseOnDrop, Config, Context, Handler, HandlerError, Relay, handler};

/// Default time for work in progress to finish at shutdown.
const GRACE: Duration = Duration::from_secs(10);

/// A service: its role, its handlers, and its hooks before the first message. Settings that are not given here are read
/// from the environment, by the names that ExoService used:
///
/// | variable | meaning |
/// |---|---|
/// | `ROLE` | the role, if [`Service::new`] got an empty one |
/// | `EXOCOM_HOST`, `EXOCOM_PORT` | the address of ExoCom, by default `localhost` and `80`; reached at `ws://HOST:PORT/services` |
/// | `EXORELAY__BUS__TOKEN` | the token of [`Service::token`], as for a sidecar |
/// | `SERVICE_NAME`, `EXORELAY_PORT` | variables of the HTTP era: the role, and the port to listen on. With them ExoCom is reached at `http://HOST:PORT`, and `EXOCOM_PORT` is required |
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
    explicit: Explicit,
    register: Register,
    relay: Config,
    environment: Option<HashMap<String, String>>,
    handlers: Vec<(MessageName, Handler)>,
    before: Vec<Hook>,
    grace: Duration,
    error: Option<relay::Error>,
}

impl Service {
    /// Returns a service with this role; if it is empty, with the role from the environment.
    pub fn new(role: impl Into<String>) -> Self {
        Self {
            explicit: Explicit { role: role.into(), ..Explicit::default() },
            register: Register::Auto,
            relay: Config::default(),
            environment: None,
            handlers: Vec::new(),
            before: Vec::new(),
            grace: GRACE,
            error: None,
        }
    }

    /// Calls `run` for every message `name`, concurrently. If a handler fails or panics, its message becomes a dead letter.
    /// A second handler for the same name is an error of [`Service::connect`].
    pub fn on<N, F, Fut>(mut self, name: N, run: F) -> Self
    where
        N: TryInto<MessageName>,
        relay::Error: From<N::Error>,
        F: Fn(Message, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        match name.try_into() {
            Ok(name) => self.handlers.push((name, handler(run))),
            Err(error) => self.error = Some(error.into()),
        }
        self
    }

    /// Runs `hook` to its end before the first message is handled; several hooks run one after the other. Messages that
    /// arrive meanwhile are queued. The hook can send and request with the relay it gets. If a hook fails or panics, the
    /// service does not start and the queued messages become dead letters. exo 5.1; 7 number 32 lists the differences.
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
        self.explicit.bus = Some(url.into());
        self
    }

    /// The listen address for a broker that delivers over HTTP, as `HOST:PORT`, in place of `EXORELAY_PORT`. Default: a free
    /// port on loopback.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.explicit.listen = Some(address.into());
        self
    }

    /// The registration mode; `Register::Off` for an original HTTP-era broker.
    pub fn register(mut self, register: Register) -> Self {
        self.register = register;
        self
    }

    /// The token that proves that this service may have its role, in place of `EXORELAY__BUS__TOKEN`.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.explicit.token = Some(token.into());
        self
    }

    /// All other settings of the relay. What other methods set stays as it is.
    pub fn config(mut self, config: Config) -> Self {
        self.relay = config;
        self
    }

    /// Time for work in progress to finish at shutdown; 10 s by default.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Replaces the environment of the process, for example in tests.
    pub fn environment<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        self.environment = Some(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect());
        self
    }

    /// Connects, runs the hooks, and returns the relay, which handles messages until it is closed. An unreachable broker is
    /// not an error, see [`Builder::connect`]. For tests, and for processes that do more than run this service.
    ///
    /// Errors: [`Error::Environment`] naming the variable, [`Error::Relay`], [`Error::BeforeAll`]. Cancel-safe: a dropped
    /// call ends the running hook and closes the relay in the background, and no further handler runs.
    pub async fn connect(self) -> Result<Relay, Error> {
        let grace = self.grace;
        let mut starting = self.join().await?;
        match starting.open().await {
            Ok(()) => Ok(starting.relay.keep()),
            Err(error) => {
                starting.close(grace).await;
                Err(error)
            }
        }
    }

    /// Runs until SIGINT or SIGTERM; then refuses new work, finishes work in progress within the grace time, and leaves the
    /// bus. A second signal stops at once, SIGHUP does not. `NOTIFY_SOCKET` is notified, as systemd expects it.
    ///
    /// Prints `online at port <port>` on stdout once it is on the bus, so that messages can arrive: the port it listens on,
    /// or the broker's if it does not listen.
    ///
    /// It is for processes that do nothing else, so it also changes the process: it handles SIGINT and SIGTERM from now on,
    /// raises the limit on open files to what the system allows, and logs to stderr unless the process already has a
    /// logger. [`Service::connect`] does none of this. Errors: those of [`Service::connect`], [`Error::Signals`], and
    /// [`Error::Unfinished`] if messages were left at the end.
    /// Cancel-safe: a dropped call closes the service in the background. The signals stay handled.
    pub async fn run_from_env(self) -> Result<(), Error> {
        telemetry::start(&Log::default());
        let mut signals = Signals::listen(Hangup::Ignored)?;
        let grace = self.grace;
        let Some(starting) = signals.unless_stopped(self.join()).await else { return Ok(()) };
        let mut starting = starting?;
        let (relay, bus) = (starting.relay.relay().clone(), starting.bus.clone());
        let opened = signals.unless_stopped(starting.open()).await;
        let Some(Ok(())) = opened else {
            starting.close(grace).await;
            return opened.unwrap_or(Ok(()));
        };
        if relay.bus_error().is_some() {
            // The reason is in the log already.
            tracing::info!(bus, "the service joins the bus as soon as it can");
        }
        let process = Process { relays: vec![relay.clone()], ..Process::default() };
        let announced = async {
            relay.ready().await;
            announce(port_of(&relay, &bus));
            std::future::pending::<Infallible>().await
        };
        let ended = tokio::select! {
            never = announced => match never {},
            ended = process.run(signals, grace) => ended,
        };
        starting.relay.keep();
        ended
    }

    /// Joins the bus, with every handler behind the gate if there are hooks.
    async fn join(self) -> Result<Starting, Error> {
        if let Some(error) = self.error {
            return Err(error.into());
        }
        let Settings { role, bus, listen, token } =
            environment::resolve(self.explicit, |name| match &self.environment {
                Some(variables) => variables.get(name).cloned(),
                None => std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
            })?;
        let gate = watch::Sender::new(Gate::Closed);
        let builder = Relay::builder(role).config(self.relay).bus(&bus).register(self.register).token(token);
        let builder = match listen {
            Some(address) => builder.listen(address),
            None => builder,
        };
        let has_hooks = !self.before.is_empty();
        let gated = |handler| if has_hooks { before::behind(gate.subscribe(), handler) } else { handler };
        let handled = |builder: Builder, (name, handler)| builder.handle::<MessageName>(name, gated(handler));
        let builder = self.handlers.into_iter().fold(builder, handled);
        let relay = builder.connect().await?;
        Ok(Starting { relay: CloseOnDrop::new(relay), bus, gate, before: self.before })
    }
}

/// A service that has joined the bus and still holds messages back. Dropping it closes it, and the waiting messages fail.
struct Starting {
    relay: CloseOnDrop,
    bus: String,
    gate: watch::Sender<Gate>,
    before: Vec<Hook>,
}

impl Starting {
    /// Runs the hooks, then opens the gate.
    async fn open(&mut self) -> Result<(), Error> {
        let before = std::mem::take(&mut self.before);
        before::run(before, self.relay.relay()).await.map_err(|reason| Error::BeforeAll { reason })?;
        self.gate.send_replace(Gate::Open);
        Ok(())
    }

    /// Fails the waiting messages and closes the relay.
    async fn close(self, grace: Duration) {
        let Self { relay, gate, .. } = self;
        drop(gate);
        relay.relay().close_within(grace).await;
        relay.keep();
    }
}

/// Returns the port that the relay listens on, else the port of its broker.
fn port_of(relay: &Relay, bus: &str) -> u16 {
    let own = relay.address().map(|address| address.port());
    let of_broker = || bus.parse::<axum::http::Uri>().ok().and_then(|url| url.port_u16());
    own.or_else(of_broker).unwrap_or(80)
}

/// Prints the line that `exo run` waits for. exo 2.3. A closed stdout is ignored.
fn announce(port: u16) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "online at port {port}").and_then(|()| out.flush()) {
        tracing::debug!(%error, "cannot print the online line");
    }
}
