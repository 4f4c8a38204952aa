//! A broker that a scenario started, with an HTTP listener of its own.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use exorelay::broker::{Broker, Config, routes};
use exorelay::http::{BindError, Limits, Listening, Serving};

/// The broker, its listener, and what it logged.
pub(crate) struct RunningBroker {
    pub(crate) broker: Broker,
    serving: Serving,
    log: Log,
}

impl RunningBroker {
    /// Starts a broker that listens on `config.address`. Errors: those of the listener.
    pub(crate) async fn start(config: Config) -> Result<Self, BindError> {
        let listening = Listening::bind("--listen", &config.address).await?;
        let log = Log::default();
        let broker = Broker::start_with_log(config, Box::new(log.clone()));
        let limits = Limits::default();
        let serving = listening.serve(routes::router(broker.clone(), &limits), &limits);
        Ok(Self { broker, serving, log })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// The lines of the message log so far.
    pub(crate) fn log(&self) -> Vec<String> {
        let bytes = self.log.0.lock().unwrap();
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}

impl std::fmt::Debug for RunningBroker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "broker at {}, log {:#?}", self.address(), self.log())
    }
}

/// Keeps what is written to it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
