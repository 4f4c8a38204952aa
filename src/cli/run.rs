//! `exorelay run`

use std::ffi::OsString;

use clap::Args;

use super::Error;
use super::process::{Flag, Process};
use super::runtime::sidecar_threads;
use crate::app::config::Purpose;
use crate::app::{self, EmbeddedBroker, Restart, ServiceCommand};

/// Run the sidecar of a service, and the service with it
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples: start the service, too, with the port to listen on in PORT; a service that runs on port 3000
  exorelay run --role greeter --receives hello -- node greeter.mjs
  exorelay run --role greeter --receives hello --forward http://127.0.0.1:3000

CMD gets a free port in PORT (that of --forward, if given) and the sidecar's URL in SIDECAR, and its first message once it
accepts connections. Its output is printed with the role before each line. When it ends it is started again, after a
pause that grows. SIGTERM and Ctrl-C drain the sidecar, then stop CMD and all processes that it has started; SIGHUP, SIGUSR1
and SIGUSR2 are passed on.

Every flag also has a key in exorelay.toml and an environment variable: see exorelay config show")]
pub(super) struct Run {
    /// Role of the service on the bus; required here or in the configuration
    #[arg(long, value_name = "NAME", help_heading = "Service")]
    role: Option<String>,
    /// Messages that the service receives, separated by commas
    #[arg(long, value_name = "M,M", help_heading = "Service")]
    receives: Option<String>,
    /// Messages that the service sends, separated by commas
    #[arg(long, value_name = "M,M", help_heading = "Service")]
    sends: Option<String>,
    /// Prefix that a generic service uses for its own messages, such as mongo
    #[arg(long, value_name = "PREFIX", help_heading = "Service")]
    namespace: Option<String>,
    /// Base URL of the service; messages are posted to URL/run/MESSAGE
    #[arg(long, value_name = "URL", help_heading = "Service")]
    forward: Option<String>,
    /// Format of the posted message [default: exocom]
    #[arg(long, value_name = "FORM", value_parser = ["exocom", "cloudevents"], help_heading = "Service")]
    format: Option<String>,
    /// Address where the service calls its sidecar, or unix:PATH; port 0 takes a free port [default: 127.0.0.1:4001]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Service")]
    api: Option<String>,
    /// Address for browsers and other clients outside the bus [default: no edge]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Edge")]
    edge: Option<String>,
    /// URL under which clients and the receivers of webhooks reach the edge; required if --edge is not on loopback
    #[arg(long, value_name = "URL", help_heading = "Edge")]
    public_url: Option<String>,
    /// Body of the service's calls to /send: the payload, or the HTTP-era envelope [default: plain]
    #[arg(long, value_name = "FORM", value_parser = ["plain", "exocom"], help_heading = "Service")]
    api_envelope: Option<String>,
    /// The broker: `embedded`, or an http or ws URL of an ExoCom broker [default: http://127.0.0.1:3100]
    #[arg(long, value_name = "URL", help_heading = "Bus")]
    bus: Option<String>,
    /// Listen address of the embedded broker, to let other services reach it; only with --bus embedded [default: 127.0.0.1:3100]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Bus")]
    broker: Option<String>,
    /// Address where the broker delivers messages, unless the bus is a ws URL; port 0 takes a free port [default: 127.0.0.1:4000]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Bus")]
    listen: Option<String>,
    /// Address under which the broker reaches that listener [default: the one the broker sees]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Bus")]
    advertise: Option<String>,
    /// Register with the broker, or leave that to another process [default: auto]
    #[arg(long, value_name = "HOW", value_parser = ["auto", "off"], help_heading = "Bus")]
    register: Option<String>,
    /// End a ws connection with a close frame (polite) or without one (abrupt) [default: auto]
    #[arg(long, value_name = "HOW", value_parser = ["auto", "polite", "abrupt"], help_heading = "Bus")]
    close: Option<String>,
    /// Answer a delivery when the message is queued, or after its handler [default: accepted]
    #[arg(long, value_name = "WHEN", value_parser = ["accepted", "handled"], help_heading = "Bus")]
    answer: Option<String>,
    /// End with CMD, and with its exit status, instead of starting it again
    #[arg(long, requires = "command", help_heading = "Service")]
    once: bool,
    #[command(flatten)]
    process: Process,
    /// Command that starts the service
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Run {
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let process = std::mem::take(&mut self.process);
        let service = self.service();
        let embedded = if self.broker.is_some() { EmbeddedBroker::Listening } else { EmbeddedBroker::Private };
        let purpose = if service.is_some() { Purpose::SidecarOfChild } else { Purpose::Sidecar };
        let config = process.start(purpose, self.flags())?;
        Ok(app::run(config, embedded, sidecar_threads()?, service).await?)
    }

    /// Removes and returns the command of the service, if one is given.
    fn service(&mut self) -> Option<ServiceCommand> {
        let mut words = std::mem::take(&mut self.command).into_iter();
        let restart = if self.once { Restart::Never } else { Restart::Always };
        Some(ServiceCommand { program: words.next()?, arguments: words.collect(), restart })
    }

    fn flags(self) -> [Flag; 17] {
        [
            ("--role", "relay.role", self.role),
            ("--receives", "relay.receives", self.receives),
            ("--sends", "relay.sends", self.sends),
            ("--namespace", "relay.namespace", self.namespace),
            ("--forward", "webhook.forward", self.forward),
            ("--format", "webhook.format", self.format),
            ("--api", "api.address", self.api),
            ("--edge", "edge.address", self.edge),
            ("--public-url", "streams.public_url", self.public_url),
            ("--api-envelope", "api.envelope", self.api_envelope),
            ("--bus", "bus.url", self.bus),
            ("--broker", "broker.address", self.broker),
            ("--listen", "listen.address", self.listen),
            ("--advertise", "bus.advertise", self.advertise),
            ("--register", "bus.register", self.register),
            ("--close", "bus.close", self.close),
            ("--answer", "listen.answer", self.answer),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::process::tests::check_flags;
    use super::*;

    #[test]
    fn every_flag_has_a_key_and_shows_its_default() {
        check_flags("run", &Run::default().flags());
    }
}
