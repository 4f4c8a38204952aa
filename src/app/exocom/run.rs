//! Runs `exocom`.

use std::io::{self, IsTerminal, Write};
use std::net::Ipv6Addr;

use super::{Era, Error, Setup};
use crate::app::Config;
use crate::app::process::{BrokerPart, Process};
use crate::app::signals::{Hangup, Signals};
use crate::broker::{self, Broker};
use crate::http::{BindError, Listening};

/// The versions of the original brokers.
const VERSION_OF_HTTP: &str = "0.12.2";
const VERSION_OF_NAMESPACES: &str = "0.22.1";

/// The settings of the listen address, for error messages.
const BIND: &str = "EXOCOM_BIND and PORT";

/// Runs the broker until SIGTERM or Ctrl-C. Errors: those of the listener, [`Error::App`], also for messages that are left at
/// the end, and [`Error::Landscape`] if the landscape is too large. Not cancel-safe: a dropped call does not drain.
pub async fn run(mut config: Config, setup: Setup) -> Result<(), Error> {
    config.share_memory();
    let signals = Signals::listen(Hangup::Ignored)?;
    print_banner(&setup);
    let opened = open(&setup).await;
    let port = opened.as_ref().map_or(setup.port, |listening| i64::from(listening.address().port()));
    // The original in Go prints this before it binds the port.
    if opened.is_ok() || setup.era == Era::Go {
        print_online(setup.era, port);
    }
    let listening = opened?;
    // The originals have no limit but that of a frame or body.
    let broker = Broker::start(broker::Config { payload_bytes_max: usize::MAX, ..config.broker.clone() });
    if let Some(landscape) = setup.landscape {
        broker.configure(landscape).map_err(|cause| Error::Landscape { variable: "the landscape", cause })?;
    }
    let router = match setup.era {
        Era::Http => broker::routes::router(broker.clone(), &config.http),
        Era::Namespaces | Era::Go => broker::exocom::router(broker.clone()),
    };
    let listening = listening.guarded(broker::routes::access(&config.broker, &config.http));
    let serving = listening.serve(router, &config.http);
    // Services of the originals may only come back to the broker's successor.
    let broker = BrokerPart { broker, serving: Some(serving), closes_port_first: true };
    let process = Process { broker: Some(broker), ..Process::default() };
    Ok(process.run(signals, config.drain.grace()).await?)
}

/// Prints the lines that come before the port is bound.
fn print_banner(setup: &Setup) {
    if setup.era == Era::Http {
        let banner = format!("Exosphere Development Communications server {VERSION_OF_HTTP}");
        match io::stdout().is_terminal() {
            true => print(&[&format!("\x1b[2m{banner}\x1b[0m"), ""]),
            false => print(&[&banner, ""]),
        }
    }
    if setup.port_is_ignored {
        print(&[&format!("Given port is not numeric, using default port {}", setup.port)]);
    }
}

fn print_online(era: Era, port: i64) {
    match era {
        Era::Http => print(&["Ctrl-C to stop", &format!("ExoCom {VERSION_OF_HTTP} online at port {port}")]),
        Era::Namespaces => print(&[
            &format!("Exocom {VERSION_OF_NAMESPACES}"),
            &format!("ExoCom HTTP service online at port {port}"),
            &format!("ExoCom WebSocket listener online at port {port}"),
            // Its successor used the same form of landscapes for a while.
            &format!("ExoCom online at port {port}"),
        ]),
        Era::Go => print(&[&format!("ExoCom online at port {port}")]),
    }
}

async fn open(setup: &Setup) -> Result<Listening, Error> {
    let Ok(port) = u16::try_from(setup.port) else { return Err(Error::Port { port: setup.port.to_string() }) };
    let opened = match &setup.host {
        Some(host) if host.parse::<Ipv6Addr>().is_ok() => Listening::bind(BIND, &format!("[{host}]:{port}")).await,
        Some(host) => Listening::bind(BIND, &format!("{host}:{port}")).await,
        None => match Listening::bind(BIND, &format!("[::]:{port}")).await {
            // The system has no IPv6.
            Err(BindError::System { source, .. }) if source.kind() != io::ErrorKind::PermissionDenied => {
                Listening::bind(BIND, &format!("0.0.0.0:{port}")).await
            }
            opened => opened,
        },
    };
    opened.map_err(|error| as_original(setup, port, error))
}

/// Returns the error with the message of the original.
fn as_original(setup: &Setup, port: u16, error: BindError) -> Error {
    let address = format!("{}:{port}", setup.host.as_deref().unwrap_or_default());
    match (error, setup.era) {
        (BindError::InUse { port, .. }, Era::Http | Era::Namespaces) => Error::InUse { port },
        (BindError::InUse { .. }, Era::Go) => Error::Bind { address, cause: "address already in use".into() },
        (BindError::System { source, .. }, _) => {
            let cause = source.to_string();
            let cause = cause.split(" (os error").next().unwrap_or_default().to_lowercase();
            Error::Bind { address, cause }
        }
        // Those of Unix sockets, which the originals have not, do not occur.
        (error, _) => crate::app::Error::from(error).into(),
    }
}

/// Prints lines. A closed stdout is ignored.
fn print(lines: &[&str]) {
    let mut out = io::stdout().lock();
    let written = lines.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush());
    if let Err(error) = written {
        tracing::debug!(%error, "cannot write to stdout");
    }
}
